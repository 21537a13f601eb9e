package import ChatModel
package import Postgres

/// Accounts and devices in PostgreSQL. Each call is one round trip and one transaction. Times are Unix milliseconds.
package struct AccountStore: Sendable {
    private let pool: PostgresPool
    /// For a call, waiting for a connection included: while PostgreSQL is away a client hears of it this soon.
    private let timeout: Duration

    package init(pool: PostgresPool, timeout: Duration = .seconds(3)) {
        self.pool = pool
        self.timeout = timeout
    }

    func query(
        _ statement: Statement, _ parameters: [PostgresValue]
    ) async throws(PostgresError) -> PostgresResult {
        try await pool.query(statement, parameters, timeout: timeout)
    }

    private func pipeline(_ steps: [PostgresPool.Step]) async throws(PostgresError) -> [PostgresResult] {
        try await pool.pipeline(steps, timeout: timeout)
    }

    /// Columns of `Account`, in the order that `account(_:from:)` reads them.
    static let columns = """
        a.id, a.username, a.email, a.display_name, a.avatar, a.about, a.last_seen_visibility, a.read_receipts, a.created_at
        """

    static func account(_ row: PostgresRow, from column: Int = 0) throws(PostgresError) -> Account {
        Account(
            id: UserID(column: try row.int8(column)), username: try row.text(column + 1),
            email: try row.text(column + 2), displayName: try row.text(column + 3),
            avatar: try row.optionalText(column + 4), about: try row.text(column + 5),
            lastSeenVisibility: Account.Visibility(rawValue: try row.int2(column + 6)) ?? .nobody,
            readReceipts: try row.bool(column + 7), createdAt: try row.timestampMilliseconds(column + 8))
    }

    // MARK: Accounts

    /// Which of the two is taken.
    package func taken(username: String, email: String) async throws(PostgresError) -> (username: Bool, email: Bool) {
        let result = try await query(
            """
            SELECT EXISTS (SELECT FROM users.accounts WHERE username = $1),
                   EXISTS (SELECT FROM users.accounts WHERE email_key = $2)
            """, [.text(username), .text(email.lowercased())])
        guard let row = result.rows.first else { return (false, false) }
        return (try row.bool(0), try row.bool(1))
    }

    /// Makes an account with its first device.
    ///
    /// - Throws: a unique violation of `accounts_username`, `accounts_email` or a primary key.
    package func create(
        _ account: Account, password: String, device: Device, family: Int64
    ) async throws(PostgresError) {
        let keys = AccountRules.searchKeys(username: account.username, displayName: account.displayName)
        _ = try await pipeline([
            (
                """
                INSERT INTO users.accounts (id, username, email, email_key, password, display_name, about,
                    last_seen_visibility, read_receipts, created_at, updated_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)
                """,
                [
                    .int8(account.id.column), .text(account.username), .text(account.email),
                    .text(account.email.lowercased()), .text(password), .text(account.displayName),
                    .text(account.about), .int2(account.lastSeenVisibility.rawValue), .bool(account.readReceipts),
                    .timestamp(milliseconds: account.createdAt),
                ]
            ),
            (Self.insertNames, [.int8(account.id.column), .textArray(keys.sorted())]),
            (Self.insertDevice, Self.values(of: device, account: account.id, family: family)),
        ])
    }

    private static let insertNames: Statement = """
        INSERT INTO users.names (key, account) SELECT key, $1 FROM unnest($2::text[]) AS key ON CONFLICT DO NOTHING
        """

    private static let insertDevice: Statement = """
        INSERT INTO users.devices (id, account, name, family, generation, created_at, last_used_at)
        VALUES ($1, $2, $3, $4, 1, $5, $6)
        """

    private static func values(of device: Device, account: UserID, family: Int64) -> [PostgresValue] {
        [
            .int8(device.id.column), .int8(account.column), .text(device.name), .int8(family),
            .timestamp(milliseconds: device.createdAt), .timestamp(milliseconds: device.lastUsedAt),
        ]
    }

    /// The account that a login names (a user name or an e-mail address, folded), and its password's hash.
    package func find(login: String) async throws(PostgresError) -> (account: Account, password: String)? {
        let column = login.utf8.contains(UInt8(ascii: "@")) ? "email_key" : "username"
        let result = try await query(
            "SELECT \(Self.columns), a.password FROM users.accounts a WHERE a.\(column) = $1", [.text(login)])
        guard let row = result.rows.first else { return nil }
        return (try Self.account(row), try row.text(9))
    }

    /// An account by its id, and its password's hash.
    package func find(_ id: UserID) async throws(PostgresError) -> (account: Account, password: String)? {
        let result = try await query(
            "SELECT \(Self.columns), a.password FROM users.accounts a WHERE a.id = $1", [.int8(id.column)])
        guard let row = result.rows.first else { return nil }
        return (try Self.account(row), try row.text(9))
    }

    /// Those that exist, in no order.
    package func accounts(_ ids: [UserID]) async throws(PostgresError) -> [Account] {
        guard !ids.isEmpty else { return [] }
        let result = try await query(
            "SELECT \(Self.columns) FROM users.accounts a WHERE a.id = any($1::int8[])",
            [.int8Array(ids.map(\.column))])
        var accounts: [Account] = []
        for row in result.rows { accounts.append(try Self.account(row)) }
        return accounts
    }

    /// What a change of one's own account says: nil leaves a field as it is.
    package struct Changes: Sendable, Equatable {
        package var displayName: String?
        /// The inner nil removes it.
        package var avatar: String??
        package var about: String?
        package var lastSeenVisibility: Account.Visibility?
        package var readReceipts: Bool?

        package init() {}
    }

    /// The account as it is after the change; nil where there is none.
    package func update(_ id: UserID, _ changes: Changes, now: Int64) async throws(PostgresError) -> Account? {
        let update: PostgresPool.Step = (
            """
            UPDATE users.accounts a SET display_name = coalesce($2, display_name),
                avatar = CASE WHEN $3 THEN $4 ELSE avatar END, about = coalesce($5, about),
                last_seen_visibility = coalesce($6, last_seen_visibility),
                read_receipts = coalesce($7, read_receipts), updated_at = $8
            WHERE id = $1 RETURNING \(Self.columns)
            """,
            [
                .int8(id.column), changes.displayName.map { .text($0) } ?? .null, .bool(changes.avatar != nil),
                (changes.avatar ?? nil).map { .text($0) } ?? .null, changes.about.map { .text($0) } ?? .null,
                changes.lastSeenVisibility.map { .int2($0.rawValue) } ?? .null,
                changes.readReceipts.map { .bool($0) } ?? .null, .timestamp(milliseconds: now),
            ]
        )
        guard let displayName = changes.displayName else {
            return try await first(try await query(update.statement, update.parameters))
        }
        // The user name is a search key as well, and not known here: it is the key that stays.
        let keys = AccountRules.searchKeys(username: "", displayName: displayName).subtracting([""])
        let results = try await pipeline([
            update,
            (
                """
                DELETE FROM users.names n USING users.accounts a
                WHERE n.account = $1 AND a.id = $1 AND n.key <> a.username
                """, [.int8(id.column)]
            ),
            (
                """
                INSERT INTO users.names (key, account)
                SELECT key, a.id FROM unnest($2::text[]) AS key, users.accounts a WHERE a.id = $1 ON CONFLICT DO NOTHING
                """, [.int8(id.column), .textArray(keys.sorted())]
            ),
        ])
        return try await first(results[0])
    }

    private func first(_ result: PostgresResult) async throws(PostgresError) -> Account? {
        guard let row = result.rows.first else { return nil }
        return try Self.account(row)
    }

    /// Replaces a password's hash, unless it has been replaced meanwhile. Answers whether it did.
    package func setPassword(_ id: UserID, from old: String, to new: String, now: Int64) async throws(PostgresError)
        -> Bool
    {
        let result = try await query(
            "UPDATE users.accounts SET password = $3, updated_at = $4 WHERE id = $1 AND password = $2",
            [.int8(id.column), .text(old), .text(new), .timestamp(milliseconds: now)])
        return result.affected > 0
    }

    /// Where a search goes on: behind this key of this account.
    package struct SearchPosition: Hashable, Sendable {
        package var key: String
        package var account: UserID

        package init(key: String, account: UserID) {
            self.key = key
            self.account = account
        }
    }

    /// Accounts with a search key that begins with `prefix`, in the order of that key, each once.
    package func search(
        _ prefix: String, after position: SearchPosition?, limit: Int
    ) async throws(PostgresError) -> [(account: Account, position: SearchPosition)] {
        let result = try await query(
            """
            SELECT \(Self.columns), n.key FROM users.names n JOIN users.accounts a ON a.id = n.account
            WHERE n.key >= $1 AND n.key < $2 AND (n.key, n.account) > ($3, $4)
                AND NOT EXISTS (SELECT FROM users.names o WHERE o.account = n.account AND o.key >= $1 AND o.key < n.key)
            ORDER BY n.key, n.account LIMIT $5
            """,
            [
                // The greatest code point: in the order of bytes nothing that begins with the prefix is behind it.
                .text(prefix), .text(prefix + "\u{10FFFF}"), .text(position?.key ?? prefix),
                .int8(position?.account.column ?? 0), .int8(Int64(limit)),
            ])
        var found: [(account: Account, position: SearchPosition)] = []
        for row in result.rows {
            let account = try Self.account(row)
            found.append((account, SearchPosition(key: try row.text(9), account: account.id)))
        }
        return found
    }

    // MARK: Devices

    /// Adds a device.
    ///
    /// - Throws: a unique violation when there is one with this id.
    package func add(_ device: Device, to account: UserID, family: Int64) async throws(PostgresError) {
        _ = try await query(Self.insertDevice, Self.values(of: device, account: account, family: family))
    }

    /// Begins a new session of a device that the account has or had; nil where it has none such.
    package func resume(
        _ device: DeviceID, of account: UserID, name: String?, family: Int64, now: Int64
    ) async throws(PostgresError) -> Device? {
        let result = try await query(
            """
            UPDATE users.devices SET family = $3, generation = 1, name = coalesce($4, name), last_used_at = $5,
                revoked_at = NULL
            WHERE id = $1 AND account = $2 RETURNING id, name, created_at, last_used_at
            """,
            [
                .int8(device.column), .int8(account.column), .int8(family), name.map { .text($0) } ?? .null,
                .timestamp(milliseconds: now),
            ])
        return try result.rows.first.map { row throws(PostgresError) in try Self.device(row) }
    }

    private static func device(_ row: PostgresRow, from column: Int = 0) throws(PostgresError) -> Device {
        Device(
            id: DeviceID(column: try row.int8(column)), name: try row.text(column + 1),
            createdAt: try row.timestampMilliseconds(column + 2), lastUsedAt: try row.timestampMilliseconds(column + 3))
    }

    /// A device's session with whose it is; nil where there is no such device.
    package func session(
        _ device: DeviceID
    ) async throws(PostgresError) -> (account: Account, device: Device, session: Rotation.Session)? {
        let result = try await query(
            """
            SELECT \(Self.columns), d.id, d.name, d.created_at, d.last_used_at, d.family, d.generation,
                d.revoked_at IS NOT NULL
            FROM users.devices d JOIN users.accounts a ON a.id = d.account WHERE d.id = $1
            """, [.int8(device.column)])
        guard let row = result.rows.first else { return nil }
        let device = try Self.device(row, from: 9)
        return (
            try Self.account(row), device,
            Rotation.Session(
                family: try row.int8(13), generation: try row.int8(14), lastUsed: device.lastUsedAt,
                revoked: try row.bool(15))
        )
    }

    /// Gives the next generation of a device's refresh tokens; false when the present one is no longer `generation`.
    package func rotate(_ device: DeviceID, family: Int64, generation: Int64, now: Int64) async throws(PostgresError)
        -> Bool
    {
        let result = try await query(
            """
            UPDATE users.devices SET generation = generation + 1, last_used_at = $4
            WHERE id = $1 AND family = $2 AND generation = $3 AND revoked_at IS NULL
            """,
            [.int8(device.column), .int8(family), .int8(generation), .timestamp(milliseconds: now)])
        return result.affected > 0
    }

    /// An account's devices that are logged in, in the order of their ids.
    package func devices(of account: UserID, after: DeviceID?, limit: Int) async throws(PostgresError) -> [Device] {
        let result = try await query(
            """
            SELECT id, name, created_at, last_used_at FROM users.devices
            WHERE account = $1 AND id > $2 AND revoked_at IS NULL ORDER BY id LIMIT $3
            """, [.int8(account.column), .int8(after?.column ?? 0), .int8(Int64(limit))])
        var devices: [Device] = []
        for row in result.rows { devices.append(try Self.device(row)) }
        return devices
    }

    // MARK: Revocations

    /// Which devices of an account.
    package enum Selection: Sendable {
        case one(DeviceID)
        case allBut(DeviceID)
    }

    /// Logs devices out. Answers those that were logged in until now.
    package func revoke(_ selection: Selection, of account: UserID, now: Int64) async throws(PostgresError)
        -> [DeviceID]
    {
        let (condition, device): (String, DeviceID) =
            switch selection {
            case .one(let device): ("id = $2", device)
            case .allBut(let device): ("id <> $2", device)
            }
        let result = try await query(
            """
            WITH ended AS (
                UPDATE users.devices SET revoked_at = $3
                WHERE account = $1 AND \(condition) AND revoked_at IS NULL RETURNING id
            )
            INSERT INTO users.revocations (device, revoked_at) SELECT id, $3 FROM ended
            ON CONFLICT DO NOTHING RETURNING device
            """, [.int8(account.column), .int8(device.column), .timestamp(milliseconds: now)])
        var devices: [DeviceID] = []
        for row in result.rows { devices.append(DeviceID(column: try row.int8(0))) }
        return devices
    }

    /// The devices that were logged out since, oldest first.
    package func revocations(since: Int64) async throws(PostgresError) -> [(device: DeviceID, at: Int64)] {
        let result = try await query(
            "SELECT device, revoked_at FROM users.revocations WHERE revoked_at > $1 ORDER BY revoked_at",
            [.timestamp(milliseconds: since)])
        var revocations: [(device: DeviceID, at: Int64)] = []
        for row in result.rows {
            revocations.append((DeviceID(column: try row.int8(0)), try row.timestampMilliseconds(1)))
        }
        return revocations
    }

    /// Forgets revocations that no living token is older than.
    package func forgetRevocations(before: Int64) async throws(PostgresError) {
        _ = try await query(
            "DELETE FROM users.revocations WHERE revoked_at < $1", [.timestamp(milliseconds: before)])
    }
}
