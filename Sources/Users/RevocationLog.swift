package import ChatModel

/// The devices that were logged out while access tokens of theirs may still be alive, in the order in which this
/// process learnt of them. A value without I/O.
package struct RevocationLog: Sendable {
    package struct Entry: Equatable, Sendable {
        package var device: DeviceID
        /// Unix milliseconds: tokens issued before are void.
        package var at: Int64
        /// Grows with each entry: where a follower stands.
        package var position: UInt64
    }

    private var entries: [Entry] = []
    private var latest: [DeviceID: Int64] = [:]
    private var position: UInt64 = 0

    package init() {}

    /// Notes a revocation; false when it was known, or a later one of the same device.
    package mutating func insert(_ device: DeviceID, at: Int64) -> Bool {
        if let known = latest[device], known >= at { return false }
        latest[device] = at
        position += 1
        entries.append(Entry(device: device, at: at, position: position))
        return true
    }

    /// Forgets those before `at`: every token of theirs has expired.
    package mutating func removeAll(before at: Int64) {
        guard entries.contains(where: { $0.at < at }) else { return }
        entries.removeAll { $0.at < at }
        latest = latest.filter { $0.value >= at }
    }

    /// What came after a position, oldest first; after 0: all.
    package func entries(after position: UInt64) -> ArraySlice<Entry> {
        let start = entries.partitioningIndex { $0.position > position }
        return entries[start...]
    }

    /// Whether a token of the device, issued then, is void.
    package func isRevoked(_ device: DeviceID, issuedAt: Int64) -> Bool {
        latest[device].map { issuedAt <= $0 } ?? false
    }
}

extension Array {
    /// The first index whose element fulfils the predicate, in an array in which all that do stand behind those that don't.
    fileprivate func partitioningIndex(where predicate: (Element) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if predicate(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
