/// Which ZooKeeper, and how.
package struct ZooKeeperConfiguration: Sendable {
    /// Credentials of the scheme `digest`.
    package struct Digest: Sendable, Equatable {
        package var user: String
        package var password: String

        package init(user: String, password: String) {
            self.user = user
            self.password = password
        }

        /// Reads `user:password`; `nil` if it has no colon.
        package init?(_ text: String) {
            guard let colon = text.firstIndex(of: ":") else { return nil }
            self.init(user: String(text[..<colon]), password: String(text[text.index(after: colon)...]))
        }
    }

    /// `host:port,host:port…`
    package var servers: String
    /// How long a client may be silent before the server ends its session. The server may negotiate another.
    package var sessionTimeout: Duration
    /// What the client authenticates with, if anything.
    package var auth: Digest?
    /// The access list of the nodes that it creates, unless a call says otherwise.
    package var acl: ZooKeeperACL
    /// How long an operation may take in all, waiting for a connection included.
    package var operationTimeout: Duration
    /// The first pause before a session that couldn't be opened is tried again; it doubles up to ten times this.
    package var backOff: Duration

    /// - Parameter acl: Default: with `auth`, everyone reads and only its bearer writes; else everyone may do everything.
    package init(
        servers: String, sessionTimeout: Duration = .seconds(4), auth: Digest? = nil, acl: ZooKeeperACL? = nil,
        operationTimeout: Duration = .seconds(10), backOff: Duration = .milliseconds(200)
    ) {
        self.servers = servers
        self.sessionTimeout = sessionTimeout
        self.auth = auth
        self.acl = acl ?? (auth == nil ? .open : .creatorWrites)
        self.operationTimeout = operationTimeout
        self.backOff = backOff
    }
}

/// Who may do what with a node. It doesn't extend to its children.
package struct ZooKeeperACL: Sendable, Equatable {
    package struct Permissions: OptionSet, Sendable {
        package let rawValue: Int32

        package init(rawValue: Int32) { self.rawValue = rawValue }

        package static let read = Permissions(rawValue: 1)
        package static let write = Permissions(rawValue: 2)
        package static let create = Permissions(rawValue: 4)
        package static let delete = Permissions(rawValue: 8)
        package static let admin = Permissions(rawValue: 16)
        package static let all: Permissions = [.read, .write, .create, .delete, .admin]
    }

    package struct Entry: Sendable, Equatable {
        package var permissions: Permissions
        /// `world`, `auth`, `digest`, `ip`.
        package var scheme: String
        package var id: String

        package init(permissions: Permissions, scheme: String, id: String) {
            self.permissions = permissions
            self.scheme = scheme
            self.id = id
        }
    }

    package var entries: [Entry]

    package init(_ entries: [Entry]) {
        self.entries = entries
    }

    /// Everyone may do everything.
    package static let open = ZooKeeperACL([Entry(permissions: .all, scheme: "world", id: "anyone")])
    /// Everyone may read; only who created it may do the rest. Needs `auth`.
    package static let creatorWrites = ZooKeeperACL([
        Entry(permissions: .all, scheme: "auth", id: ""),
        Entry(permissions: .read, scheme: "world", id: "anyone"),
    ])
    /// Only who created it may do anything. Needs `auth`.
    package static let creatorOnly = ZooKeeperACL([Entry(permissions: .all, scheme: "auth", id: "")])
}
