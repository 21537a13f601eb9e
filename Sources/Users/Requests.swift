package import ChatModel
package import ServiceKit

// What clients send, checked. Each `init` throws `invalid` with everything that is wrong.

package struct Registration: Sendable {
    package var username: String
    package var email: String
    package var password: String
    package var displayName: String

    package init(_ body: RequestFields) throws(Problem) {
        var fields = body
        let username = fields.required("username", AccountRules.username)
        let email = fields.required("email", AccountRules.email)
        let password = fields.required("password") { text throws(AccountRules.Refusal) in
            try AccountRules.password(text, username: username ?? "", email: email ?? "")
        }
        let displayName = fields.optional("display_name", AccountRules.displayName)
        try fields.finish()
        self.username = username ?? ""
        self.email = email ?? ""
        self.password = password ?? ""
        self.displayName = displayName ?? self.username
    }
}

package struct Login: Sendable {
    /// Folded: a user name, or an e-mail address.
    package var login: String
    package var password: String
    package var deviceName: String?
    package var device: DeviceID?

    package init(_ body: RequestFields) throws(Problem) {
        var fields = body
        let login = fields.required("login") { text throws(AccountRules.Refusal) in
            guard (1...254).contains(text.utf8.count), !text.utf8.contains(0) else {
                throw AccountRules.Refusal("must be a user name or an e-mail address")
            }
            return text.lowercased()
        }
        let password = fields.required("password", Self.anyPassword)
        deviceName = fields.optional("device_name", AccountRules.deviceName)
        device = fields.optional("device") { text throws(AccountRules.Refusal) in
            guard let device = DeviceID(text) else { throw AccountRules.Refusal(Self.unknownDevice) }
            return device
        }
        try fields.finish()
        self.login = login ?? ""
        self.password = password ?? ""
    }

    static let unknownDevice = "is not a device of this account"

    /// One that is compared, not chosen: only bounded.
    static func anyPassword(_ text: String) throws(AccountRules.Refusal) -> String {
        guard (1...4096).contains(text.utf8.count) else { throw AccountRules.Refusal("must have 1 to 256 characters") }
        return text
    }
}

package struct Refresh: Sendable {
    package var token: String

    package init(token: String) { self.token = token }

    package init(_ body: RequestFields) throws(Problem) {
        var fields = body
        token = fields.required("refresh_token") { text throws(AccountRules.Refusal) in text } ?? ""
        try fields.finish()
    }
}

package struct PasswordChange: Sendable {
    package var current: String
    package var new: String

    package init(_ body: RequestFields, account: Account) throws(Problem) {
        var fields = body
        let current = fields.required("current", Login.anyPassword)
        let new = fields.required("new") { text throws(AccountRules.Refusal) in
            try AccountRules.password(text, username: account.username, email: account.email)
        }
        try fields.finish()
        self.current = current ?? ""
        self.new = new ?? ""
    }
}

extension AccountStore.Changes {
    package init(_ body: RequestFields) throws(Problem) {
        var fields = body
        self.init()
        displayName = fields.optional("display_name", AccountRules.displayName)
        if fields.isNull("display_name") { fields.refuse("display_name", "must not be null") }
        if fields.isNull("avatar") {
            avatar = .some(nil)
        } else if let given = fields.optional("avatar", TextRules.picture) {
            avatar = given
        }
        about = fields.isNull("about") ? "" : fields.optional("about", AccountRules.about)
        lastSeenVisibility = fields.optional("last_seen_visibility") { text throws(AccountRules.Refusal) in
            guard let visibility = Account.Visibility(name: text) else {
                throw AccountRules.Refusal("must be everyone, contacts or nobody")
            }
            return visibility
        }
        if fields.isNull("last_seen_visibility") {
            fields.refuse("last_seen_visibility", "must be everyone, contacts or nobody")
        }
        readReceipts = fields.flag("read_receipts")
        try fields.finish()
    }
}
