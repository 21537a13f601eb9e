import Testing

@testable import Postgres

@Suite struct PipelineStateMachineTests {
    typealias Machine = PipelineStateMachine<Int>

    private let error = PostgresError(.server, "no", attempted: "test")
    private let key = StatementKey("select 1", [])

    /// The outcome as text, to compare.
    private func name(_ action: Machine.Action) -> String {
        switch action {
        case .none: "none"
        case .prepared: "prepared"
        case .notPrepared: "not prepared"
        case .finished(let id, .success(let outputs)): "\(id) \(outputs)"
        case .finished(let id, .failure(let error)): "\(id) \(error.message)"
        case .violation: "violation"
        }
    }

    private func play(_ machine: inout Machine, _ answers: [Machine.Answer]) -> [String] {
        answers.map { name(machine.receive($0)) }.filter { $0 != "none" }
    }

    @Test func operationsEndInOrder() {
        var machine = Machine()
        machine.sent(1, [.prepare(key: key), .execute(wanted: true)])
        machine.sent(2, [.execute(wanted: false), .execute(wanted: true), .execute(wanted: true)])
        #expect(machine.head == 1)
        #expect(
            play(&machine, [.success(0), .end, .success(5), .end, .sync]) == ["prepared", "1 [5]"])
        #expect(machine.head == 2)
        #expect(
            play(&machine, [.success(1), .end, .success(2), .end, .success(3), .end, .sync]) == ["2 [2, 3]"])
        #expect(machine.isEmpty)
    }

    @Test func errorSkipsTheRestOfItsOperationOnly() {
        var machine = Machine()
        machine.sent(1, [.execute(wanted: true), .prepare(key: key), .execute(wanted: true)])
        machine.sent(2, [.execute(wanted: true)])
        #expect(
            play(&machine, [.failure(error), .end, .aborted, .end, .aborted, .end, .sync, .success(7), .end, .sync])
                == ["not prepared", "1 no", "2 [7]"])
    }

    @Test func failedPrepare() {
        var machine = Machine()
        machine.sent(1, [.prepare(key: key), .execute(wanted: true)])
        #expect(play(&machine, [.failure(error), .end, .aborted, .end, .sync]) == ["not prepared", "1 no"])
    }

    @Test func firstErrorCounts() {
        var machine = Machine()
        machine.sent(1, [.execute(wanted: true)])
        let second = PostgresError(.server, "later", attempted: "test")
        #expect(play(&machine, [.failure(error), .end, .failure(second), .sync]) == ["1 no"])
    }

    @Test func violations() {
        var machine = Machine()
        #expect(name(machine.receive(.end)) == "none")
        #expect(name(machine.receive(.sync)) == "violation")
        #expect(name(machine.receive(.success(1))) == "violation")
        machine.sent(1, [.execute(wanted: true)])
        #expect(name(machine.receive(.sync)) == "violation")
        #expect(name(machine.receive(.aborted)) == "violation")
        #expect(play(&machine, [.success(1), .success(2)]) == ["violation"])
    }

    @Test func lossNamesEachOperationOnce() {
        var machine = Machine()
        machine.sent(1, [.execute(wanted: true)])
        machine.sent(2, [.execute(wanted: true)])
        _ = machine.receive(.failure(error))
        let lost = machine.connectionLost()
        #expect(lost.map(\.id) == [1, 2])
        #expect(lost.map { $0.error?.message } == ["no", nil])
        #expect(machine.connectionLost().isEmpty)
    }
}
