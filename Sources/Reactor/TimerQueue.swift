/// A timer of a `Reactor`.
package struct ReactorTimer: Sendable, Hashable {
    fileprivate let id: UInt64
}

/// Deadlines in a binary heap; a cancelled one stays there as an empty entry until it is due or such entries outnumber the
/// others.
struct TimerQueue {
    private struct Entry {
        var deadline: UInt64
        var id: UInt64

        func isBefore(_ other: Entry) -> Bool {
            deadline == other.deadline ? id < other.id : deadline < other.deadline
        }
    }

    private var heap: [Entry] = []
    private var bodies: [UInt64: @Sendable () -> Void] = [:]
    private var lastID: UInt64 = 0

    var count: Int { bodies.count }
    /// Entries kept, cancelled ones included.
    var footprint: Int { heap.count }

    mutating func add(deadline: UInt64, _ body: @escaping @Sendable () -> Void) -> ReactorTimer {
        lastID += 1
        bodies[lastID] = body
        heap.append(Entry(deadline: deadline, id: lastID))
        siftUp(heap.count - 1)
        return ReactorTimer(id: lastID)
    }

    mutating func cancel(_ timer: ReactorTimer) {
        guard bodies.removeValue(forKey: timer.id) != nil else { return }
        if heap.count > 64, heap.count > 2 * bodies.count { compact() }
    }

    /// For `epoll_wait`: until the first deadline, rounded up; -1 if there is none.
    mutating func milliseconds(from now: UInt64) -> Int32 {
        while let first = heap.first, bodies[first.id] == nil { removeFirst() }
        guard let first = heap.first else { return -1 }
        guard first.deadline > now else { return 0 }
        return Int32(min((first.deadline - now + 999_999) / 1_000_000, 3_600_000))
    }

    /// Takes the first body that is due and was added before `limit`; the caller calls it, and may add and cancel
    /// timers meanwhile. The limit (`nextID` at the start of the turn) keeps a timer of zero from starving the rest.
    mutating func takeDue(now: UInt64, addedBefore limit: UInt64) -> (@Sendable () -> Void)? {
        while let first = heap.first, first.deadline <= now, first.id < limit {
            removeFirst()
            if let body = bodies.removeValue(forKey: first.id) { return body }
        }
        return nil
    }

    var nextID: UInt64 { lastID + 1 }

    private mutating func compact() {
        heap.removeAll { bodies[$0.id] == nil }
        for index in stride(from: heap.count / 2, through: 0, by: -1) where index < heap.count { siftDown(index) }
    }

    private mutating func removeFirst() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        if !heap.isEmpty { siftDown(0) }
    }

    private mutating func siftUp(_ start: Int) {
        var index = start
        while index > 0 {
            let parent = (index - 1) / 2
            guard heap[index].isBefore(heap[parent]) else { return }
            heap.swapAt(index, parent)
            index = parent
        }
    }

    private mutating func siftDown(_ start: Int) {
        var index = start
        while true {
            var least = index
            for child in [2 * index + 1, 2 * index + 2] where child < heap.count {
                if heap[child].isBefore(heap[least]) { least = child }
            }
            if least == index { return }
            heap.swapAt(index, least)
            index = least
        }
    }
}
