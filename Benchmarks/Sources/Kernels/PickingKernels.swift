import Cluster
import RPC

// Which node a client is sent to, and which connection a call takes.

let pickingKernels = [
    Kernel("pick-node-of-10", operations: 5_000) {
        var picker = LeastLoadedPicker(seed: 7)
        picker.update(
            (0..<10).map { number in
                Member(
                    record: NodeRecord(
                        id: "chat-\(number)", role: "chat", rpc: "10.0.0.\(number):7000", capacity: 20_000,
                        connections: 100 * number),
                    epoch: Int64(number))
            })
        var now = ContinuousClock.Instant.now
        return { count in
            var sum = 0
            for _ in 0..<count {
                // Instants apart from each other; which ones they are does not matter.
                now += .microseconds(100)
                guard let member = picker.pick(now: now) else { throw KernelFailure("no node is picked") }
                sum &+= Int(member.epoch)
            }
            return sum
        }
    },
    Kernel("pick-connection-of-4", operations: 20_000) {
        var pool = try openPool(peers: 4)
        return { count in
            var sum = 0
            for _ in 0..<count {
                guard case .use(let connection) = pool.pick(key: nil, peer: nil) else {
                    throw KernelFailure("no connection is picked")
                }
                sum &+= connection.outstanding
            }
            return sum
        }
    },
    Kernel("pick-connection-of-4-by-key", operations: 20_000) {
        var pool = try openPool(peers: 4)
        return { count in
            var sum = 0
            for number in 0..<count {
                guard case .use(let connection) = pool.pick(key: UInt64(number), peer: nil) else {
                    throw KernelFailure("no connection is picked")
                }
                sum &+= connection.outstanding
            }
            return sum
        }
    },
]

private final class Connection: PooledConnection {
    let outstanding: Int

    init(outstanding: Int) { self.outstanding = outstanding }
}

/// A pool all of whose peers are connected.
private func openPool(peers count: Int) throws -> PoolStateMachine {
    var pool = PoolStateMachine(
        role: "relay", connectionsPerPeer: 1, minBackoff: .milliseconds(50), maxBackoff: .seconds(2), seed: 7)
    _ = pool.update((0..<count).map { RPCPeer(id: "relay-\($0)", address: "10.0.0.\($0):7000", epoch: 1) })
    var opened = 0
    for directive in pool.activate() {
        guard case .connect(_, let token) = directive else { throw KernelFailure("a pool does not connect") }
        guard pool.opened(token, Connection(outstanding: opened)) else { throw KernelFailure("not wanted") }
        opened += 1
    }
    guard opened == count else { throw KernelFailure("\(opened) connections, not \(count)") }
    return pool
}
