import Client

/// Pairs of users who write to each other.
package struct DirectScenario: Sendable {
    package var pairs: Int
    /// Bytes of text.
    package var size: Int
    package var plan: MessagePlan

    package init(pairs: Int, size: Int, plan: MessagePlan) { (self.pairs, self.size, self.plan) = (pairs, size, plan) }

    @Sendable package func run(_ session: BenchSession) async throws -> Report {
        let people = try await session.register(pairs * 2)
        let connected = try await session.connect(people)
        let size = size
        let load = await session.loop.perform {
            let senders = connected.connections.enumerated().map { place, connection in
                MessageLoad.Sender(
                    connection,
                    [MessageTemplate(to: .user(people[place ^ 1].user), run: session.token, size: size)])
            }
            let load = MessageLoad(
                loop: session.loop, senders: senders, expected: 1, completion: .delivered, start: session.start)
            for connection in connected.connections { connection.handler = load }
            return load
        }
        let report = try await MessageScenario(session: session, load: load, receivers: 1).run(plan)
        await session.close(connected.connections)
        return report
    }
}
