import Client

/// What the client knows of conversations and users, asked for when it is needed first.
struct ChatBook {
    struct Conversation {
        var id: String
        /// Of a direct one.
        var peer: String?
        /// A username, or a group's name: not made safe.
        var title: String
        var unread: Int
        var mentions: Int
        var isMuted: Bool
        /// When something happened last, as the server wrote it.
        var lastAt: String
        var isGroup: Bool { peer == nil }

        init(_ json: JSONValue) {
            id = json["id"].string ?? ""
            peer = json["kind"] == "group" ? nil : json["peer"]["id"].string ?? ""
            title = peer == nil ? json["group"]["name"].string ?? "" : json["peer"]["username"].string ?? "a user"
            unread = json["unread"].int ?? 0
            mentions = json["mentions"].int ?? 0
            isMuted = json["muted"].bool ?? false
            lastAt = json["last_event"]["sent_at"].string ?? ""
        }
    }

    private let signedIn: SignedIn
    /// Newest first, as of the last time it was asked for.
    private(set) var conversations: [Conversation] = []
    private var usernames: [String: String] = [:]

    init(_ signedIn: SignedIn) {
        self.signedIn = signedIn
        usernames[signedIn.account.user] = signedIn.account.username
    }

    /// Asks for the list again. Of two services the one that does not answer takes nothing from the other.
    mutating func refresh() async throws {
        var found: [Conversation] = []
        var failures: [any Error] = []
        for groups in [false, true] {
            do {
                let items = try await signedIn.withAccount { try await $0.conversations(groups: groups, most: 200) }
                found += items.map(Conversation.init)
            } catch {
                failures.append(error)
                found += conversations.filter { $0.isGroup == groups }
            }
        }
        if failures.count == 2 { throw failures[0] }
        conversations = found.sorted { $0.lastAt > $1.lastAt }
        for conversation in conversations {
            if let peer = conversation.peer { usernames[peer] = conversation.title }
        }
    }

    /// The conversation, if the user is in it.
    mutating func conversation(_ id: String) async -> Conversation? {
        if let known = conversations.first(where: { $0.id == id }) { return known }
        try? await refresh()
        return conversations.first { $0.id == id }
    }

    mutating func change(_ id: String, _ body: (inout Conversation) -> Void) {
        guard let index = conversations.firstIndex(where: { $0.id == id }) else { return }
        body(&conversations[index])
    }

    mutating func forget(_ id: String) { conversations.removeAll { $0.id == id } }

    /// A user's name, made safe.
    mutating func name(_ user: String) async -> String {
        if let known = usernames[user] { return Printable.line(known) }
        let found = try? await signedIn.withAccount { try await $0.user(user) }
        guard let name = found?["username"].string else { return "user \(Printable.line(user))" }
        usernames[user] = name
        return Printable.line(name)
    }

    /// The id of the user of that name.
    mutating func user(named username: String) async throws -> String? {
        if let known = usernames.first(where: { $0.value.lowercased() == username.lowercased() }) { return known.key }
        let found = try await signedIn.withAccount { try await $0.user(named: username) }
        guard let id = found?["id"].string else { return nil }
        usernames[id] = found?["username"].string ?? username
        return id
    }
}
