import ChatModel
import DequeModule
package import Protocol

/// What one connection says, and what it edits, deletes and reacts to: in one conversation it is stored in the order it came
/// in, which one call at a time for each conversation makes sure of whichever instances answer them. Different
/// conversations don't wait for each other.
package struct SendLanes {
    /// A conversation as it was addressed. The two ways to address a direct one share a lane once it is known that they are one.
    package enum Lane: Hashable, Sendable {
        case conversation(UInt64)
        case user(UInt64)
    }

    package enum Call: Sendable {
        case send(MessagesSendRequest)
        case amend(MessagesAmendRequest)

        fileprivate var lane: Lane {
            switch self {
            case .send(let request): request.to != 0 ? .user(request.to) : .conversation(request.conversation)
            case .amend(let request): .conversation(request.conversation)
            }
        }
    }

    package struct Item: Sendable {
        package var ref: String
        package var call: Call

        /// Whether it is about a group.
        package var isForGroup: Bool {
            switch call.lane {
            case .user: false
            case .conversation(let id): ConversationID(rawValue: id).isGroup
            }
        }
    }

    /// Calls that wait, all lanes together.
    private let limit: Int
    private var lanes: [Lane: Deque<Item>] = [:]
    private var aliases: [UInt64: Lane] = [:]
    private var waiting = 0

    package init(limit: Int = 128) { self.limit = limit }

    package enum Outcome: Sendable {
        case call(Lane, Item)
        case queued
        case full
    }

    package mutating func add(_ item: Item) -> Outcome {
        var lane = item.call.lane
        if case .conversation(let id) = lane, let alias = aliases[id] { lane = alias }
        guard lanes[lane] != nil else {
            lanes[lane] = []
            return .call(lane, item)
        }
        guard waiting < limit else { return .full }
        lanes[lane]!.append(item)
        waiting += 1
        return .queued
    }

    /// A call was answered; the next of its lane. `conversation`: where the message went.
    package mutating func succeeded(_ lane: Lane, conversation: UInt64) -> Item? {
        if case .user = lane, lanes[lane]?.isEmpty == false { aliases[conversation] = lane }
        return next(lane)
    }

    /// A call was refused for a reason of its own: the next of its lane goes on.
    package mutating func refused(_ lane: Lane) -> Item? { next(lane) }

    /// A call found no service: those behind it in its lane fail with it, or they would overtake it when it is sent again.
    package mutating func failed(_ lane: Lane) -> [Item] {
        let behind = lanes.removeValue(forKey: lane) ?? []
        waiting -= behind.count
        aliases = aliases.filter { $0.value != lane }
        return Array(behind)
    }

    private mutating func next(_ lane: Lane) -> Item? {
        guard let item = lanes[lane]?.popFirst() else {
            lanes[lane] = nil
            if case .user = lane { aliases = aliases.filter { $0.value != lane } }
            return nil
        }
        waiting -= 1
        return item
    }

    package var isEmpty: Bool { lanes.isEmpty }
}
