package import Logging
import Metrics
package import Postgres
package import Protocol
package import RPC

/// Follows the log: every event of it is handed to a handler once, in order within its conversation, whatever dies on the way.
///
/// Any number of processes may run the same consumer: they share its shards.
package struct LogConsumer: Sendable {
    /// Asks a relay for what comes after a place.
    package typealias Follow =
        @Sendable (_ request: RelayFollowRequest, _ options: CallOptions) async throws -> RelayFollowResponse

    package struct Configuration: Sendable {
        /// How long a process that died keeps its shards.
        package var lease: Duration = .seconds(9)
        package var settings = ConsumerStateMachine.Settings()

        package init() {}
    }

    private let name: String
    private let instance: String
    private let configuration: Configuration
    private let store: ShardStore
    private let follow: Follow
    private let handler: any ConsumerHandler
    private let metrics: ConsumerMetrics
    private let now: @Sendable () -> Int64
    private let logger: Logger

    /// - Parameters:
    ///   - name: for logs and metrics.
    ///   - instance: this process; the same after a restart, so that it goes on with its shards at once.
    ///   - schema: has the tables that `ShardStore` works on.
    ///   - now: Unix milliseconds.
    package init(
        name: String, instance: String, schema: String, pool: PostgresPool, configuration: Configuration = .init(),
        metrics: ConsumerMetrics, logger: Logger, now: @escaping @Sendable () -> Int64, follow: @escaping Follow,
        handler: any ConsumerHandler
    ) {
        self.name = name
        self.instance = instance
        self.configuration = configuration
        store = ShardStore(schema: schema, pool: pool)
        self.follow = follow
        self.handler = handler
        self.metrics = metrics
        self.now = now
        var logger = logger
        logger[metadataKey: "consumer"] = "\(name)"
        self.logger = logger
    }

    /// Works until cancelled; then gives back its shards.
    package func run() async {
        var state = ConsumerStateMachine(settings: configuration.settings)
        while !Task.isCancelled {
            switch state.next(now: .now) {
            case .pause(let until): try? await Task.sleep(until: until, clock: .continuous)
            case .renew: await renew(&state)
            case .follow(let step):
                guard let batch = await followed(step, &state) else { continue }
                await store(batch, &state)
            }
        }
        await store.leave(instance)
    }

    private func renew(_ state: inout ConsumerStateMachine) async {
        do {
            let (held, count) = try await store.renew(instance, lease: configuration.lease)
            let before = state.held
            state.renewed(held, count: count, now: .now)
            metrics.shards.record(held.count)
            if Set(held.keys) != before {
                logger.debug("Holds other shards now", metadata: ["shards": "\(held.keys.sorted())"])
            }
        } catch {
            state.renewFailed(now: .now)
            complain("Could not renew the leases of shards; trying again", error, state)
        }
    }

    /// The next batch; nil: nothing is there now, or it couldn't be asked for.
    private func followed(
        _ step: ConsumerStateMachine.Follow, _ state: inout ConsumerStateMachine
    ) async -> ConsumerStateMachine.Batch? {
        var request = RelayFollowRequest()
        request.after = step.after.wire
        request.limit = UInt32(step.limit)
        request.waitMs = UInt32(max(0, step.wait.wholeMilliseconds))
        if let count = step.only {
            request.shardCount = UInt32(count)
            request.shards = step.shards.map(UInt32.init)
        }
        let asked = now()
        do {
            let answer = try await follow(request, CallOptions(timeout: step.wait + .seconds(5)))
            // All that was stored before the question is answered, or else the answer's last event is how far it goes.
            metrics.lag.record(answer.more ? max(0, asked - (answer.events.last?.sentAtMs ?? asked)) / 1000 : 0)
            return state.followed(step, events: answer.events, next: LogPosition(answer.next))
        } catch {
            state.followFailed(now: .now)
            complain("Could not follow the log; trying again", error, state)
            return nil
        }
    }

    private func store(_ batch: ConsumerStateMachine.Batch, _ state: inout ConsumerStateMachine) async {
        do {
            try await store.commit(batch, instance: instance) { connection in
                if !batch.events.isEmpty { try await handler.handle(batch.events, in: connection) }
            }
            if state.failures > 0 { logger.info("Follows the log again") }
            state.committed(batch, now: .now)
            metrics.events.increment(by: batch.events.count)
            metrics.batches.increment()
        } catch is ShardStore.Lost {
            state.lost()
        } catch {
            let stuck = state.commitFailed(batch, now: .now)
            metrics.failures.increment()
            guard let stuck else {
                return complain("Could not store what a batch of the log means; trying again", error, state)
            }
            guard !Task.isCancelled else { return }
            logger.error(
                "An event can't be processed; nothing of its shard is, until it can",
                metadata: [
                    "conversation.id": "\(stuck.event.conversation)", "seq": "\(stuck.event.seq)",
                    "attempt": "\(stuck.attempts)", "error": "\(error)",
                ])
        }
    }

    /// What is only not up yet isn't worth a warning.
    private func complain(_ message: Logger.Message, _ error: any Error, _ state: ConsumerStateMachine) {
        guard !Task.isCancelled else { return }
        logger.log(
            level: state.failures < 4 ? .info : .warning, message,
            metadata: ["attempt": "\(state.failures)", "error": "\(error)"])
    }
}

/// What a consumer does with events.
package protocol ConsumerHandler: Sendable {
    /// Writes what the events mean, in the transaction that also moves the consumer's position: it counts exactly when that
    /// is committed. Events of one conversation come in order. Throwing undoes all of it, and the events come again, maybe in
    /// smaller batches.
    func handle(_ events: [Protocol.LogEvent], in transaction: PostgresConnection) async throws
}
