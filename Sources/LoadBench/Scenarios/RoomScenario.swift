import Client

/// A group whose members are all connected, over all nodes; some of them write.
package struct RoomScenario: Sendable {
    package var members: Int
    package var senders: Int
    package var size: Int
    package var plan: MessagePlan

    package init(members: Int, senders: Int, size: Int, plan: MessagePlan) {
        (self.members, self.senders, self.size, self.plan) = (members, senders, size, plan)
    }

    @Sendable package func run(_ session: BenchSession) async throws -> Report {
        let people = try await session.register(members)
        let room = try await Self.makeRoom(people)
        let connected = try await session.connect(people)
        let (size, senders, members) = (size, min(senders, members), members)
        let load = await session.loop.perform {
            let senders = connected.connections.prefix(senders).map {
                MessageLoad.Sender($0, [MessageTemplate(to: .conversation(room), run: session.token, size: size)])
            }
            let load = MessageLoad(
                loop: session.loop, senders: senders, expected: members - 1, completion: .delivered,
                start: session.start)
            for connection in connected.connections { connection.handler = load }
            return load
        }
        let report = try await MessageScenario(session: session, load: load, receivers: members - 1).run(plan)
        await session.close(connected.connections)
        return report
    }

    /// Makes a group of all of them, and answers its conversation.
    static func makeRoom(_ people: [Account]) async throws -> String {
        let group = try await people[0].createGroup("Bench", members: people.dropFirst().map(\.user))
        guard let room = group["conversation"].string ?? group["id"].string else {
            throw BenchFailure("no group was made")
        }
        return room
    }
}
