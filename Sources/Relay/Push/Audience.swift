package import Protocol

/// The connections that a conversation's events go to, by node: found once for all the events that one commit has for
/// it. A value.
package struct Audience: Sendable {
    private struct Target {
        var user: UInt64
        var handle: UInt32
        var after: UInt64
        var until: UInt64
    }

    private struct Node {
        var slot: Int32
        var targets: [Target] = []
        /// All of the targets', shared by the deliveries of events that everyone gets.
        var handles: [UInt32] = []
    }

    private var nodes: [Node] = []
    /// Whether everyone here gets every event of the range.
    private var isUniform = true

    /// For events of the range.
    package init(_ members: [MembershipCache.Member], _ range: ClosedRange<UInt64>, _ roster: RosterTable) {
        for member in members where member.until >= range.lowerBound && member.after < range.upperBound {
            let connections = roster.connections(of: member.user)
            if connections.isEmpty { continue }
            isUniform = isUniform && member.after < range.lowerBound && member.until >= range.upperBound
            for connection in connections {
                let index: Int
                if let known = nodes.firstIndex(where: { $0.slot == connection.slot }) {
                    index = known
                } else {
                    index = nodes.count
                    nodes.append(Node(slot: connection.slot))
                }
                nodes[index].handles.append(connection.handle)
                nodes[index].targets.append(
                    Target(
                        user: member.user, handle: connection.handle, after: member.after, until: member.until))
            }
        }
    }

    /// Adds an event's deliveries: one a node for the sender's own connections, which learn the client_id, and one for all
    /// others.
    package func add(_ event: Protocol.LogEvent, to deliveries: inout [Int32: [ChatDelivery]]) {
        if nodes.isEmpty { return }
        var anonymous = event
        anonymous.clientID = ""
        for node in nodes {
            let isOwn = !event.clientID.isEmpty && node.targets.contains { $0.user == event.sender }
            var delivery = ChatDelivery()
            delivery.event = anonymous
            if isUniform && !isOwn {
                delivery.handles = node.handles
            } else {
                var own: [UInt32] = []
                delivery.handles.reserveCapacity(node.targets.count)
                for target in node.targets where target.after < event.seq && event.seq <= target.until {
                    if isOwn && target.user == event.sender {
                        own.append(target.handle)
                    } else {
                        delivery.handles.append(target.handle)
                    }
                }
                if !own.isEmpty {
                    var named = ChatDelivery()
                    named.event = event
                    named.handles = own
                    deliveries[node.slot, default: []].append(named)
                }
                if delivery.handles.isEmpty { continue }
            }
            deliveries[node.slot, default: []].append(delivery)
        }
    }
}
