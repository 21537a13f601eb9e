import NIOConcurrencyHelpers

/// A value behind a lock, on which tasks can wait until it meets a condition.
final class Watched<State: Sendable>: Sendable {
    private struct Waiter {
        let isMet: @Sendable (State) -> Bool
        let continuation: CheckedContinuation<Bool, Never>
    }

    private struct Contents {
        var state: State
        var waiters: [UInt64: Waiter] = [:]
        var nextID: UInt64 = 0
    }

    private let contents: NIOLockedValueBox<Contents>

    init(_ state: State) {
        contents = NIOLockedValueBox(Contents(state: state))
    }

    func read<R>(_ body: (State) -> R) -> R {
        contents.withLockedValue { body($0.state) }
    }

    /// Changes the value, then resumes those whose condition it meets.
    @discardableResult
    func update<R>(_ body: (inout State) throws -> R) rethrows -> R {
        let (result, met) = try contents.withLockedValue { contents in
            let result = try body(&contents.state)
            let met = contents.waiters.filter { $0.value.isMet(contents.state) }
            for id in met.keys { contents.waiters[id] = nil }
            return (result, met.values)
        }
        for waiter in met { waiter.continuation.resume(returning: true) }
        return result
    }

    /// Waits until the value meets a condition. False: this task was cancelled first.
    @discardableResult
    func wait(until isMet: @escaping @Sendable (State) -> Bool) async -> Bool {
        let id = contents.withLockedValue { contents in
            contents.nextID += 1
            return contents.nextID
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer: Bool? = contents.withLockedValue { contents in
                    if isMet(contents.state) { return true }
                    // A cancellation that comes later finds the waiter: it takes this lock first.
                    if Task.isCancelled { return false }
                    contents.waiters[id] = Waiter(isMet: isMet, continuation: continuation)
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            let waiter = contents.withLockedValue { $0.waiters.removeValue(forKey: id) }
            waiter?.continuation.resume(returning: false)
        }
    }

    /// Waits until the value meets a condition, but no longer than `patience`. False: it doesn't, or cancelled.
    @discardableResult
    func wait(for patience: Duration, until isMet: @escaping @Sendable (State) -> Bool) async -> Bool {
        await withTaskGroup(of: Bool.self) { group in
            group.addTask { await self.wait(until: isMet) }
            group.addTask {
                try? await Task.sleep(for: patience)
                return false
            }
            let first = await group.next() ?? false
            group.cancelAll()
            return first
        }
    }
}
