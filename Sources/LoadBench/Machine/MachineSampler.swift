import NIOConcurrencyHelpers

/// Samples the machine once a second, beside the load and on another thread.
package final class MachineSampler: Sendable {
    private struct State {
        var reader: MachineReader
        var samples: [MachineSample] = []
    }

    private let state: NIOLockedValueBox<State>
    package let processes: [ClusterProcesses.Process]
    private let start: UInt64

    private let current: @Sendable () -> [ClusterProcesses.Process]?

    /// - Parameters:
    ///   - start: nanoseconds of the loop's clock, from which samples' times count.
    ///   - current: the processes as they are now, should one have been started anew.
    package init(
        _ processes: [ClusterProcesses.Process], start: UInt64,
        current: @escaping @Sendable () -> [ClusterProcesses.Process]? = { nil }
    ) {
        self.current = current
        state = NIOLockedValueBox(State(reader: MachineReader(processes)))
        self.processes = processes
        self.start = start
    }

    package var samples: [MachineSample] { state.withLockedValue(\.samples) }

    /// Takes one now, and keeps it.
    @concurrent @discardableResult package func sample() async -> MachineSample { take() }

    /// Samples until cancelled.
    @concurrent package func run() async {
        var next = ContinuousClock.now
        var count = 0
        while !Task.isCancelled {
            if count % 5 == 4 {
                let current = current()
                state.withLockedValue { state in
                    if let current { state.reader.update(current) }
                    state.reader.findChildren()
                }
            }
            _ = take()
            count += 1
            next += .seconds(1)
            try? await Task.sleep(until: next)
        }
    }

    private func take() -> MachineSample {
        let now = LoadLoop.clock
        return state.withLockedValue { state in
            let sample = state.reader.sample(time: Double(now - start) / 1e9)
            state.samples.append(sample)
            return sample
        }
    }
}
