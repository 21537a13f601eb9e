/// Rendezvous (highest random weight) hashing: every process that knows the same ids gives a key the same owner, and when
/// an id joins or leaves only the keys that it wins or had change theirs (Thaler and Ravishankar, 1998).
package enum Rendezvous {
    /// A hash of a string that is the same in every process and release: 64-bit FNV-1a, then mixed.
    package static func hash(_ string: String) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in string.utf8 {
            hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
        }
        return Self.mix(hash)
    }

    /// How much `id` wants `key`.
    package static func weight(key: UInt64, id: String) -> UInt64 {
        Self.mix(Self.mix(key) ^ Self.hash(id))
    }

    /// The finalizer of SplitMix64 (Steele, Lea and Flood, 2014): each bit of the input moves half of those of the output.
    package static func mix(_ value: UInt64) -> UInt64 {
        var z = value &+ 0x9e37_79b9_7f4a_7c15
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

/// The id that owns `key`: the one with the greatest weight. The ids' order doesn't matter. `nil` if there are none.
package func rendezvous(key: UInt64, among ids: some Sequence<String>) -> String? {
    rendezvous(key: key, among: ids) { $0 }
}

/// The element whose id owns `key`.
package func rendezvous<Element>(
    key: UInt64, among elements: some Sequence<Element>, id: (Element) -> String
) -> Element? {
    var best: (element: Element, id: String, weight: UInt64)?
    for element in elements {
        let name = id(element)
        let weight = Rendezvous.weight(key: key, id: name)
        guard let current = best else {
            best = (element, name, weight)
            continue
        }
        if weight > current.weight || (weight == current.weight && name > current.id) {
            best = (element, name, weight)
        }
    }
    return best?.element
}
