/// The books of a run: what was sent, when it was due, what came of it.
///
/// Messages go by an index that counts up from `base`. Only those due in `window` are measured.
package struct Ledger: Sendable {
    /// Nanoseconds of the run's clock.
    package let window: Range<UInt64>
    package let base: Int
    private var dues: [UInt64] = []
    private var outstanding: [UInt16] = []
    private var answered: [Bool] = []

    package private(set) var deliveries = LatencyRecorder()
    package private(set) var acks = LatencyRecorder()
    package private(set) var lag = LatencyRecorder()
    /// Messages that were due in the window, deliveries and acks that came in it.
    package private(set) var counted = (sent: 0, delivered: 0, acked: 0)
    /// Deliveries that have not come yet, and messages not answered yet.
    package private(set) var open = (deliveries: 0, answers: 0)
    package private(set) var acked = 0
    package private(set) var delivered = 0
    package private(set) var repeated = 0
    package private(set) var errors = 0

    package init(base: Int, window: Range<UInt64>) { (self.base, self.window) = (base, window) }

    package var count: Int { dues.count }
    package func holds(_ index: Int) -> Bool { index >= base && index < base + count }

    /// Books a message that is sent now, and says by which index it goes.
    /// - Parameter expected: how many must get it.
    package mutating func send(due: UInt64, now: UInt64, expected: Int) -> Int {
        dues.append(due)
        outstanding.append(UInt16(clamping: expected))
        answered.append(false)
        open.deliveries += expected
        open.answers += 1
        if window.contains(due) {
            counted.sent += 1
            lag.record(nanoseconds: now > due ? now - due : 0)
        }
        return base + dues.count - 1
    }

    /// A receiver got a message.
    package mutating func deliver(_ index: Int, now: UInt64) {
        let place = index - base
        guard outstanding[place] > 0 else {
            repeated += 1
            return
        }
        outstanding[place] -= 1
        open.deliveries -= 1
        delivered += 1
        if window.contains(now) { counted.delivered += 1 }
        if window.contains(dues[place]) { deliveries.record(nanoseconds: since(dues[place], now)) }
    }

    /// The server acknowledged a message.
    package mutating func acknowledge(_ index: Int, now: UInt64) {
        let place = index - base
        guard !answered[place] else { return }
        answered[place] = true
        open.answers -= 1
        acked += 1
        if window.contains(now) { counted.acked += 1 }
        if window.contains(dues[place]) { acks.record(nanoseconds: since(dues[place], now)) }
    }

    /// The server refused a message; nobody is to get it.
    package mutating func refuse(_ index: Int) {
        let place = index - base
        guard !answered[place] else { return }
        answered[place] = true
        errors += 1
        open.answers -= 1
        open.deliveries -= Int(outstanding[place])
        outstanding[place] = 0
    }

    package func due(_ index: Int) -> UInt64 { dues[index - base] }
    /// How many have not got it yet.
    package func remaining(_ index: Int) -> Int { Int(outstanding[index - base]) }
    package var isSettled: Bool { open.deliveries == 0 && open.answers == 0 }
    /// What must still come when one waits no longer.
    package var lost: Int { max(open.deliveries, open.answers) }

    private func since(_ due: UInt64, _ now: UInt64) -> UInt64 { now > due ? now - due : 0 }
}
