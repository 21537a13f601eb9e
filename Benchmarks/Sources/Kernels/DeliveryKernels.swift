import ChatModel

// A connection of a chat node: what it is given of the log.

let deliveryKernels = [
    Kernel("delivery-offer", operations: 30_000) {
        // The next event of one of 32 conversations, to a client that keeps up.
        let conversations = (1...32).map { ConversationID(rawValue: UInt64($0) * 2) }
        var machine = DeliveryStateMachine<Int>()
        _ = machine.start(claiming: nil)
        machine.positions(conversations.map { (conversation: $0, after: 0, head: 0) })
        _ = machine.ended()
        guard machine.phase == .live else { throw KernelFailure("a delivery does not become live") }
        var seqs = [UInt64](repeating: 0, count: conversations.count)
        return { count in
            var pushed = 0
            for number in 0..<count {
                let index = number % conversations.count
                seqs[index] += 1
                guard machine.offer(conversations[index], seqs[index], number) == .push else {
                    throw KernelFailure("the next event is not pushed")
                }
                pushed &+= 1
            }
            return pushed
        }
    }
]
