package import Protocol

/// What a consumer does next. A value: no I/O, no clock of its own.
///
/// Shards at the same place are followed together. Those that are behind (another instance had them) go first, up to where
/// the others are; from there on they go together.
///
/// States and their exits:
/// - unsure (at the start, and after whatever may have moved a shard without our knowing): `next` says `renew`;
///   `renewed` → following, `failed` → unsure, after a pause.
/// - following: `next` says `follow`, or `renew` when leases are due; `followed` hands out a batch to store, or nothing;
///   `committed` → following; `lost` → unsure; `followFailed` → following after a pause; `commitFailed` → unsure, after a
///   pause, with smaller batches. A batch of one event that fails sets its shard aside for a while: the others go on.
/// - idle (no shard, or all are aside): `next` says `pause`.
package struct ConsumerStateMachine: Sendable {
    package typealias Instant = ContinuousClock.Instant

    package struct Settings: Sendable {
        /// How often leases are renewed.
        package var renewal: Duration = .seconds(3)
        /// How long one call waits for events at most.
        package var wait: Duration = .seconds(10)
        /// How long small batches wait for more to come: under load that makes few large ones.
        package var gathering: Duration = .milliseconds(50)
        /// Events in one batch at most.
        package var batch = 500
        package var firstPause: Duration = .milliseconds(100)
        package var longestPause: Duration = .seconds(10)

        package init() {}
    }

    package enum Step: Sendable, Equatable {
        /// Renew the leases and read where the shards are; then call `renewed` or `renewFailed`.
        case renew
        /// Ask for events; then call `followed` or `followFailed`.
        case follow(Follow)
        /// Nothing can be done before then.
        case pause(until: Instant)
    }

    package struct Follow: Sendable, Equatable {
        /// All of them are at `after`.
        package var shards: [Int]
        package var after: LogPosition
        package var limit: Int
        package var wait: Duration
        /// Where the nearest of the other shards are: no batch goes beyond it.
        package var until: LogPosition?
        /// How many shards there are where only the events of these are wanted; nil: all events, since these are all shards,
        /// or since the place where shards meet is told by an event, which may be anyone's.
        package var only: Int?
    }

    /// What is to be stored in one transaction: the events' meaning, and the shards' way from one place to another.
    package struct Batch: Sendable, Equatable {
        package var shards: [Int]
        package var from: LogPosition
        package var to: LogPosition
        /// Only events of these shards.
        package var events: [Protocol.LogEvent]
    }

    private struct Shard: Sendable {
        var position: LogPosition
        /// Set while an event of it can't be processed.
        var asideUntil: Instant?
        var failures = 0
    }

    private let settings: Settings
    private var shards: [Int: Shard] = [:]
    /// How many there are, whoever has them.
    private var shardCount = 1
    /// When leases are due; nil: unsure.
    private var renewAt: Instant?
    private var pausedUntil: Instant?
    private var limit: Int
    /// Failures since something last worked.
    package private(set) var failures = 0

    package init(settings: Settings = .init()) {
        self.settings = settings
        limit = settings.batch
    }

    /// The shards that this instance holds, as far as it knows.
    package var held: Set<Int> { Set(shards.keys) }

    /// The shard that a conversation belongs to. The lowest bit of the id says what kind it is and is left out, so that
    /// each shard has some of both.
    package static func shard(of conversation: UInt64, in count: Int) -> Int {
        Int((conversation >> 1) % UInt64(max(count, 1)))
    }

    package mutating func next(now: Instant) -> Step {
        if let pause = pausedUntil {
            if now < pause { return .pause(until: pause) }
            pausedUntil = nil
        }
        guard let renewAt, now < renewAt else { return .renew }
        let ready = shards.filter { $0.value.asideUntil.map { $0 <= now } ?? true }
        let wakes = shards.values.compactMap(\.asideUntil).filter { $0 > now }.min().map { min($0, renewAt) } ?? renewAt
        let positions = Set(ready.values.map(\.position)).sorted()
        guard let first = positions.first else { return .pause(until: wakes) }
        let others = positions.dropFirst().first
        let together = ready.filter { $0.value.position == first }.keys.sorted()
        return .follow(
            Follow(
                shards: together, after: first, limit: limit,
                wait: others == nil ? min(settings.wait, wakes - now) : .zero, until: others,
                only: others == nil && together.count < shardCount ? shardCount : nil))
    }

    // MARK: Leases

    /// - Parameters:
    ///   - held: the shards of this instance, and where they are.
    ///   - count: how many there are.
    package mutating func renewed(_ held: [Int: LogPosition], count: Int, now: Instant) {
        shardCount = count
        renewAt = now + settings.renewal
        var renewed: [Int: Shard] = [:]
        for (shard, position) in held {
            let known = shards[shard]
            renewed[shard] = known?.position == position ? known : Shard(position: position)
        }
        shards = renewed
    }

    package mutating func renewFailed(now: Instant) {
        renewAt = nil
        pause(now)
    }

    // MARK: Batches

    /// The batch that an answer makes; nil: there was nothing.
    package func followed(_ follow: Follow, events: [Protocol.LogEvent], next: LogPosition) -> Batch? {
        var end = max(next, follow.after)
        var events = events[...]
        if let until = follow.until {
            // An event's transaction isn't known here, but the place of the others may be that of an event.
            if let last = events.firstIndex(where: { $0.conversation == until.conversation && $0.seq == until.seq }) {
                events = events[...last]
                end = until
            } else if events.isEmpty {
                // Nothing is there between here and the others.
                end = max(end, until)
            }
        }
        guard end != follow.after else { return nil }
        let mine = Set(follow.shards)
        return Batch(
            shards: follow.shards, from: follow.after, to: end,
            events: events.filter { mine.contains(Self.shard(of: $0.conversation, in: shardCount)) })
    }

    package mutating func followFailed(now: Instant) { pause(now) }

    package mutating func committed(_ batch: Batch, now: Instant) {
        for shard in batch.shards where shards[shard] != nil { shards[shard] = Shard(position: batch.to) }
        failures = 0
        // While it recovers from a failure batches are small because they must be.
        if limit == settings.batch, batch.events.count < limit / 2 { pausedUntil = now + settings.gathering }
        limit = min(limit * 2, settings.batch)
    }

    /// Somebody else has moved one of the shards, or holds it.
    package mutating func lost() { renewAt = nil }

    /// The batch was rolled back, or its end is unknown. It is never skipped.
    ///
    /// - Returns: the event that can't be processed, and how often it couldn't, once that is known.
    @discardableResult
    package mutating func commitFailed(_ batch: Batch, now: Instant) -> (event: Protocol.LogEvent, attempts: Int)? {
        renewAt = nil
        guard let event = batch.events.first, batch.events.count == 1 else {
            // Smaller and smaller, until what is before the one that fails is stored and that one is alone.
            limit = max(1, min(limit, batch.events.count) / 4)
            pause(now)
            return nil
        }
        failures += 1
        limit = 1
        let shard = Self.shard(of: event.conversation, in: shardCount)
        let attempts = (shards[shard]?.failures ?? 0) + 1
        let until = now + length(ofPause: attempts)
        shards[shard]?.failures = attempts
        shards[shard]?.asideUntil = until
        return (event, attempts)
    }

    private mutating func pause(_ now: Instant) {
        failures += 1
        pausedUntil = now + length(ofPause: failures)
    }

    private func length(ofPause failures: Int) -> Duration {
        min(settings.firstPause * (1 << min(failures - 1, 16)), settings.longestPause)
    }
}
