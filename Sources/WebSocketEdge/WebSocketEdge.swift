// WebSocketEdge
