import ChatModel
import Protocol

/// Which conversations a role is for. The two roles differ in nothing else.
package enum MessagesKind: Sendable {
    case direct, group

    /// The role's name.
    package var role: String {
        switch self {
        case .direct: "messages"
        case .group: "group-messages"
        }
    }

    /// What its REST paths begin with.
    package var prefix: String {
        switch self {
        case .direct: "message-service/v1"
        case .group: "group-message-service/v1"
        }
    }

    /// As clients know it.
    var name: String {
        switch self {
        case .direct: "direct"
        case .group: "group"
        }
    }

    var wire: RelayConversationKind {
        switch self {
        case .direct: .direct
        case .group: .group
        }
    }

    /// Whether a conversation is of this kind: its id says so.
    func holds(_ conversation: ConversationID) -> Bool {
        switch self {
        case .direct: !conversation.isGroup
        case .group: conversation.isGroup
        }
    }
}
