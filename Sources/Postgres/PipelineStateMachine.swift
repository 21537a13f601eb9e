import DequeModule

/// Matches what libpq returns in pipeline mode to the operations that were sent.
///
/// Each operation is some commands (to prepare a statement, to execute one) and exactly one Sync; they are answered in
/// order. A command is answered by a result and a NULL; after an error the rest of the operation's commands are answered by
/// `aborted`; the Sync's answer ends the operation, whatever has happened, and the next one starts afresh.
struct PipelineStateMachine<Output> {
    typealias OperationID = UInt64

    enum Command: Equatable {
        /// Parse a statement under a name, for the cache.
        case prepare(key: StatementKey)
        /// Execute; whether the caller gets the result.
        case execute(wanted: Bool)
    }

    enum Answer {
        case success(Output)
        case failure(PostgresError)
        /// Skipped by the server because an earlier command of the operation failed.
        case aborted
        /// libpq's NULL.
        case end
        case sync
    }

    enum Action {
        case none
        case prepared(StatementKey)
        case notPrepared(StatementKey)
        case finished(OperationID, Result<[Output], PostgresError>)
        /// The server and this side don't agree on what is owed: the connection can't be used any more.
        case violation(String)
    }

    private struct Operation {
        let id: OperationID
        var commands: [Command]
        var next = 0
        var isAnswered = false
        var outputs: [Output] = []
        var error: PostgresError?

        var current: Command? { next < commands.count && !isAnswered ? commands[next] : nil }
    }

    private var operations = Deque<Operation>()

    var isEmpty: Bool { operations.isEmpty }
    var count: Int { operations.count }
    /// The operation whose answer comes next.
    var head: OperationID? { operations.first?.id }

    mutating func sent(_ id: OperationID, _ commands: [Command]) {
        operations.append(Operation(id: id, commands: commands))
    }

    mutating func receive(_ answer: Answer) -> Action {
        guard var operation = operations.first else {
            if case .end = answer { return .none }
            return .violation("an answer to nothing")
        }
        var action = Action.none
        switch answer {
        case .end:
            if operation.isAnswered {
                operation.isAnswered = false
                operation.next += 1
            }
        case .sync:
            guard operation.error != nil || operation.next == operation.commands.count else {
                return .violation("a Sync after \(operation.next) of \(operation.commands.count) commands")
            }
            operations.removeFirst()
            return .finished(operation.id, operation.error.map { .failure($0) } ?? .success(operation.outputs))
        case .success(let output):
            guard let command = operation.current else { return .violation("more answers than commands") }
            operation.isAnswered = true
            switch command {
            case .prepare(let key): action = .prepared(key)
            case .execute(let wanted): if wanted { operation.outputs.append(output) }
            }
        case .failure(let error):
            if operation.error == nil { operation.error = error }
            if case .prepare(let key)? = operation.current { action = .notPrepared(key) }
            operation.isAnswered = true
        case .aborted:
            guard operation.error != nil else { return .violation("a command was skipped without an error") }
            if case .prepare(let key)? = operation.current { action = .notPrepared(key) }
            operation.isAnswered = true
        }
        operations[0] = operation
        return action
    }

    /// Nothing more will be answered: the operations that were under way, with the error that was received if any.
    mutating func connectionLost() -> [(id: OperationID, error: PostgresError?)] {
        defer { operations.removeAll() }
        return operations.map { ($0.id, $0.error) }
    }
}

/// What a prepared statement is cached by: the same text with other parameter types is another plan.
struct StatementKey: Hashable, Sendable {
    let statement: Statement
    let types: [UInt32]

    init(_ statement: Statement, _ parameters: [PostgresValue]) {
        self.statement = statement
        types = parameters.map(\.typeID)
    }
}
