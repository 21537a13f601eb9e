import ChatNode
import Discovery
import Groups
import LastSeen
import Messages
import Relay
import ServiceKit
import Sessions
import Users

/// The roles that this program can host, by name.
enum Roles {
    static let all: [any Role.Type] = [
        ChatRole.self, DiscoveryRole.self, RelayRole.self, LastSeenRole.self, UsersRole.self, MessagesRole.self,
        GroupMessagesRole.self, GroupsRole.self, SessionsRole.self,
    ]

    /// The types of the named roles.
    ///
    /// - Throws: `ConfigurationError` for none, an unknown one, or one named twice.
    static func types(named names: [String]) throws(ConfigurationError) -> [any Role.Type] {
        let known = all.map { $0.name }.sorted().joined(separator: ", ")
        guard !names.isEmpty else {
            throw ConfigurationError(
                key: "ROOST_ROLES", message: "say which roles to run, with --roles or ROOST_ROLES: \(known)")
        }
        var types: [any Role.Type] = []
        for name in names {
            guard let type = all.first(where: { $0.name == name }) else {
                let hint = RoleNames.all.contains(name) ? "is not part of this version" : "is not a role"
                throw ConfigurationError(key: "ROOST_ROLES", message: "\"\(name)\" \(hint); there are \(known)")
            }
            guard !types.contains(where: { $0.name == name }) else {
                throw ConfigurationError(key: "ROOST_ROLES", message: "\"\(name)\" is named twice")
            }
            types.append(type)
        }
        return types
    }
}
