// ChatNode
