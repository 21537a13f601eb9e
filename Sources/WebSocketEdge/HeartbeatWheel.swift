/// Something that a wheel visits once a turn. The two numbers are the wheel's own.
protocol WheelMember: AnyObject {
    var wheelSlot: Int32 { get set }
    var wheelIndex: Int32 { get set }
}

/// Members spread over the ticks of a turn: one timer for all of them, joining and leaving in constant time, no memory of
/// its own but a reference each.
struct HeartbeatWheel<Member: WheelMember> {
    private var slots: [[Member]]
    private var current = 0
    private(set) var count = 0

    /// `ticks`: how many make a turn.
    init(ticks: Int) { slots = Array(repeating: [], count: max(1, ticks)) }

    /// The first visit is a whole turn from now.
    mutating func insert(_ member: Member) {
        member.wheelSlot = Int32(current)
        member.wheelIndex = Int32(slots[current].count)
        slots[current].append(member)
        count += 1
    }

    /// Does nothing where the member is not on the wheel.
    mutating func remove(_ member: Member) {
        guard member.wheelSlot >= 0 else { return }
        let (slot, index) = (Int(member.wheelSlot), Int(member.wheelIndex))
        let last = slots[slot].removeLast()
        if last !== member {
            slots[slot][index] = last
            last.wheelIndex = Int32(index)
        }
        member.wheelSlot = -1
        count -= 1
    }

    /// Moves on by one tick: the members to visit now.
    mutating func advance() -> [Member] {
        current = (current + 1) % slots.count
        return slots[current]
    }

    /// Up to `limit` members, any.
    func some(_ limit: Int) -> [Member] {
        var found: [Member] = []
        for slot in slots where found.count < limit { found += slot.prefix(limit - found.count) }
        return found
    }

    var all: [Member] { slots.flatMap { $0 } }
}
