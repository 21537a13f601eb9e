package import Protocol

/// The connections that a conversation's events go to, by node: found once for all the events that one commit has for
/// it. A value.
package struct Audience: Sendable {
    private struct Node {
        var slot: Int32
        /// Shared by the deliveries of events that everyone gets.
        var handles: [UInt32] = []
        /// Of each handle, where not everyone gets every event: after which, and up to which it does.
        var windows: [(after: UInt64, until: UInt64)] = []
    }

    private let roster: RosterTable
    private var nodes: [Node] = []
    /// Whether everyone here gets every event of the range.
    private let isUniform: Bool

    /// For events of the range.
    package init(_ members: [MembershipCache.Member], _ range: ClosedRange<UInt64>, _ roster: RosterTable) {
        let (first, last) = (range.lowerBound, range.upperBound)
        self.roster = roster
        isUniform = members.allSatisfy {
            ($0.after < first || $0.after >= last) && ($0.until >= last || $0.until < first)
        }
        for member in members where member.until >= first && member.after < last {
            for connection in roster.connections(of: member.user) {
                var index = 0
                while index < nodes.count, nodes[index].slot != connection.slot { index += 1 }
                if index == nodes.count { nodes.append(Node(slot: connection.slot)) }
                nodes[index].handles.append(connection.handle)
                if !isUniform { nodes[index].windows.append((member.after, member.until)) }
            }
        }
    }

    /// Adds an event's deliveries: one a node for the sender's own connections, which learn the client_id, and one for all
    /// others.
    package func add(_ event: Protocol.LogEvent, to deliveries: inout [Int32: [ChatDelivery]]) {
        if nodes.isEmpty { return }
        let own = event.clientID.isEmpty ? [] : roster.connections(of: event.sender)
        var delivery = ChatDelivery()
        delivery.event = event
        delivery.event.clientID = ""
        for node in nodes {
            let isOwn = own.contains { $0.slot == node.slot }
            if isUniform && !isOwn {
                delivery.handles = node.handles
                deliveries[node.slot, default: []].append(delivery)
                continue
            }
            var named = ChatDelivery()
            delivery.handles = []
            delivery.handles.reserveCapacity(node.handles.count)
            for (index, handle) in node.handles.enumerated() {
                guard isUniform || node.windows[index].after < event.seq && event.seq <= node.windows[index].until
                else { continue }
                if isOwn, own.contains(where: { $0.handle == handle && $0.slot == node.slot }) {
                    named.handles.append(handle)
                } else {
                    delivery.handles.append(handle)
                }
            }
            if !named.handles.isEmpty {
                named.event = event
                deliveries[node.slot, default: []].append(named)
            }
            if !delivery.handles.isEmpty { deliveries[node.slot, default: []].append(delivery) }
        }
    }
}
