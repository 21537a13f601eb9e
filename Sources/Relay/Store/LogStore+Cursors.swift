package import Postgres
package import Protocol

/// How far a user has got in a conversation, where it moved. 0: not moved.
package struct MovedCursor: Sendable, Equatable {
    package var conversation: UInt64
    package var user: UInt64
    package var kind: RelayConversationKind
    package var delivered: UInt64
    package var read: UInt64
    /// How many are in it, if it is a group.
    package var members: Int
}

extension LogStore {
    /// Moves cursors forward, in one transaction and one round trip. What names no conversation of the user is skipped.
    /// At most one acknowledgement for a (user, device, conversation): see `AcknowledgementBatch`.
    package func acknowledge(
        _ acknowledgements: [RelayAcknowledgement], timeout: Duration? = nil
    ) async throws(PostgresError) -> [MovedCursor] {
        let conversations = PostgresValue.int8s(acknowledgements.map(\.conversation.column))
        let users = PostgresValue.int8s(acknowledgements.map(\.user.column))
        let results = try await cursors.pipeline(
            [
                (LogStatements.lockMembers, [conversations, users]),
                (
                    LogStatements.acknowledge,
                    [
                        conversations, users, .int8s(acknowledgements.map(\.device.column)),
                        .int8s(acknowledgements.map(\.delivered.column)), .int8s(acknowledgements.map(\.read.column)),
                    ]
                ),
            ], timeout: timeout)
        var moved: [MovedCursor] = []
        for row in results[1].rows {
            moved.append(
                MovedCursor(
                    conversation: UInt64(column: try row.int8(0)), user: UInt64(column: try row.int8(1)),
                    kind: RelayConversationKind(rawValue: Int(try row.int2(2))) ?? .unspecified,
                    delivered: UInt64(column: try row.int8(3)), read: UInt64(column: try row.int8(4)),
                    members: Int(try row.int4(5))))
        }
        return moved
    }

    /// Mutes a conversation for a user until a time in Unix milliseconds; 0: no longer. False: the user is not in it.
    package func mute(conversation: UInt64, user: UInt64, until: Int64) async throws(PostgresError) -> Bool {
        let result = try await reads.query(
            LogStatements.mute,
            [
                .int8(conversation.column), .int8(user.column),
                .optionalTimestamp(milliseconds: until == 0 ? nil : until),
            ])
        return result.affected > 0
    }

    /// Gives a user's new device a cursor `events` before the end of every conversation that is longer.
    package func addDevice(user: UInt64, device: UInt64, events: Int) async throws(PostgresError) {
        _ = try await reads.query(
            LogStatements.addDevice, [.int8(user.column), .int8(device.column), .int8(Int64(events))])
    }
}
