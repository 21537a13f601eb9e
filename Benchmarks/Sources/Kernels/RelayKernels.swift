import Protocol
import RPC

// The relay: what is committed together, and who is told.

let relayKernels = [
    Kernel("batch-queue-64", operations: 1_500) {
        // One commit that takes along what came during the one before it.
        var queue = BatchQueue<Int>(batchLimit: 512, queueLimit: 100_000)
        return { count in
            var sum = 0
            for _ in 0..<count {
                for element in 0..<64 {
                    if queue.submit(element) == .start { sum &+= queue.next().count }
                }
                while true {
                    let batch = queue.next()
                    if batch.isEmpty { break }
                    sum &+= batch.count
                }
            }
            return sum
        }
    },
    Kernel("append-batch-64", operations: 50) {
        // From requests to rows, from what was stored to answers and pushes.
        let requests = Samples.appends(64)
        let outcomes = requests.enumerated().map { number, request in
            AppendOutcome(
                verdict: .stored, conversation: request.conversation, seq: UInt64(number + 1),
                sentAt: 1_780_000_000_123, membership: 1)
        }
        return { count in
            var sum = 0
            for _ in 0..<count {
                let batch = AppendBatch(requests)
                for index in requests.indices {
                    sum &+= Int(truncatingIfNeeded: try batch.response(at: index, outcomes).get().seq)
                }
                sum &+= batch.pushes(outcomes).stored.count
            }
            return sum
        }
    },
    Kernel("audience-direct", operations: 2_000) { audience(members: 2) },
    Kernel("audience-group-of-1000", operations: 20) { audience(members: 1000) },
    Kernel("push-queue-8", operations: 400) {
        // One delivery is sent at once, seven gather behind it and go with the next call.
        var queue = PushQueue(incarnation: 9, number: 1)
        let deliveries = Samples.events.map { event in
            var delivery = ChatDelivery()
            delivery.event = event
            delivery.handles = [1, 2, 3]
            return delivery
        }
        return { count in
            var sum = 0
            func take(_ action: PushQueue.Action) throws {
                switch action {
                case .send(let request): sum &+= request.deliveries.count
                case .none: break
                case .wait, .lost: throw KernelFailure("a push queue fails")
                }
            }
            for _ in 0..<count {
                for delivery in deliveries { try take(queue.add([delivery])) }
                try take(queue.succeeded())
                try take(queue.succeeded())
            }
            return sum
        }
    },
]

/// Finds the connections of a conversation's members, two each, over three nodes, and addresses one event to them.
private func audience(members count: Int) -> Kernel.Operations {
    let users = (0..<count).map { 3_074_457_345_618_258_602 + UInt64($0) }
    var roster = RosterTable()
    for node in 0..<3 {
        var update = RosterUpdate()
        update.node = "chat-\(node)"
        update.incarnation = 1
        update.epoch = Int64(node + 1)
        update.revision = 1
        update.snapshot = true
        for (index, user) in users.enumerated() {
            for device in 0..<2 where (index + device) % 3 == node {
                var entry = RosterEntry()
                entry.handle = UInt32(index * 2 + device)
                entry.user = user
                entry.device = UInt64(device + 1)
                update.joined.append(entry)
            }
        }
        _ = roster.apply(update)
    }
    let members = users.map { MembershipCache.Member(user: $0) }
    let events = Samples.events.map { event in
        var event = event
        event.sender = users[0]
        return event
    }
    let table = roster
    return { count in
        var sum = 0
        for number in 0..<count {
            let event = events[number % Samples.count]
            let audience = Audience(members, event.seq...event.seq, table)
            var deliveries: [Int32: [ChatDelivery]] = [:]
            audience.add(event, to: &deliveries)
            sum &+= deliveries.count
        }
        return sum
    }
}
