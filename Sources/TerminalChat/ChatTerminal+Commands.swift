import Client
import Foundation

// What the user asks for.

extension ChatTerminal {
    func carryOut(_ command: Command) async throws {
        switch command {
        case .say(let text): try await say(text: text, replyTo: nil)
        case .list:
            try await book.refresh()
            say(listing())
        case .open(let name): try await open(named: name)
        case .history(let count): try await history(count ?? 30)
        case .groups(let words): try await groups(words)
        case .create(let name, let isPublic, let members):
            try await create(name, isPublic: isPublic, members: members)
        case .join(let what): try await join(what)
        case .invite(let user): try await invite(user)
        case .members: try await members()
        case .remove(let name):
            let (group, user) = (try openGroup(), try await self.user(named: name))
            try await signedIn.withAccount { try await $0.removeMember(user, of: group) }
        case .role(let name, let role):
            let (group, user) = (try openGroup(), try await self.user(named: name))
            try await signedIn.withAccount { try await $0.setMember(user, of: group, role: role) }
        case .leave:
            let (group, user) = (try openGroup(), user)
            try await signedIn.withAccount { try await $0.removeMember(user, of: group) }
        case .edit(let seq, let text):
            let (conversation, seq) = (try openConversation(), try seq ?? own())
            let body = ChatFrames.body(text, mentions: try await mentions(in: text))
            ask("not edited") {
                ChatFrames.edit(ref: $0, message: "\(conversation)-\(seq)", conversation: conversation, body: body)
            }
        case .delete(let seq):
            let (conversation, seq) = (try openConversation(), try seq ?? own())
            ask("not deleted") {
                ChatFrames.delete(ref: $0, message: "\(conversation)-\(seq)", conversation: conversation)
            }
        case .react(let seq, let emoji, let removed):
            let conversation = try openConversation()
            ask("no reaction") {
                ChatFrames.react(
                    ref: $0, message: "\(conversation)-\(seq)", conversation: conversation, emoji: emoji,
                    removed: removed)
            }
        case .reply(let seq, let text): try await say(text: text, replyTo: seq)
        case .receipts(let seq): try await receipts(seq)
        case .search(let words): try await search(words)
        case .mute(let hours): try await mute(hours)
        case .who(let name):
            let user = try await self.user(named: name)
            let answer = try await signedIn.withAccount {
                try await $0.json("GET", "/last-seen-service/v1/users/\(user)")
            }
            say("* \(await book.name(user)) \(presence(answer))")
        case .help: say(Command.helpText)
        case .quit: finish()
        case .wrong(let text): say("! \(text)")
        }
    }

    // MARK: Messages

    private func say(text: String, replyTo seq: Int?) async throws {
        guard let target else { throw Refusal("nothing is open: /open NAME first, /list shows conversations") }
        let mentions = try await mentions(in: text)
        switch target {
        case .conversation(let id):
            let body = ChatFrames.body(text, replyTo: seq.map { "\(id)-\($0)" }, mentions: mentions)
            ask(Self.notSent) { ChatFrames.send(ref: $0, conversation: id, clientID: $0, body: body) }
        case .user(let user):
            let body = ChatFrames.body(text, mentions: mentions)
            ask(Self.notSent) { ChatFrames.send(ref: $0, to: user, clientID: $0, body: body) }
        }
    }

    /// The users that a text names with an @.
    private func mentions(in text: String) async throws -> [String] {
        var mentions: [String] = []
        for word in text.split(whereSeparator: \.isWhitespace) where word.first == "@" {
            let name = word.dropFirst().prefix { $0.isASCII && ($0.isLetter || $0.isNumber || "_.-".contains($0)) }
            guard name.count >= 3, mentions.count < 20 else { continue }
            // A full stop may be the sentence's.
            for candidate in [String(name), String(name.reversed().drop { ".-".contains($0) }.reversed())] {
                guard let user = try await book.user(named: candidate) else { continue }
                if !mentions.contains(user) { mentions.append(user) }
                break
            }
        }
        return mentions
    }

    private func own() throws -> Int {
        guard let ownLast else { throw Refusal("you have said nothing here yet; give a number, as #17") }
        return ownLast
    }

    private func history(_ count: Int) async throws {
        let conversation = try openConversation()
        let (before, limit) = (oldestShown, min(max(count, 1), 100))
        let found = try await signedIn.withAccount {
            try await $0.history(conversation, before: before, limit: limit)
        }
        try await show(found.reversed())
        if found.isEmpty { say(faint("* nothing before that")) }
    }

    private func show(_ messages: [JSONValue]) async throws {
        var lines: [String] = []
        for message in messages {
            lines += await self.message(message)
            let seq = message["seq"].int ?? 0
            newestShown = max(newestShown, seq)
            oldestShown = min(oldestShown ?? seq, seq)
            if message["sender"].string == user, message["deleted"].bool != true { ownLast = max(ownLast ?? 0, seq) }
        }
        say(lines)
    }

    private func receipts(_ seq: Int) async throws {
        let conversation = try openConversation()
        let answer = try await signedIn.withAccount {
            try await $0.receipts("\(conversation)-\(seq)", in: conversation)
        }
        var lines: [String] = []
        for (key, title) in [("read", "read by"), ("delivered", "delivered to")] {
            let users = answer[key].array ?? []
            var names: [String] = []
            for user in users.prefix(20) {
                if let id = user.string ?? user["id"].string ?? user["user"].string {
                    names.append(await book.name(id))
                }
            }
            if users.count > 20 { names.append("\(users.count - 20) more") }
            lines.append("* #\(seq) \(title) \(names.isEmpty ? "nobody" : names.joined(separator: ", "))")
        }
        say(lines)
    }

    private func search(_ words: String) async throws {
        var conversation: String?
        if case .conversation(let id)? = target { conversation = id }
        let place = conversation
        let found = try await signedIn.withAccount { try await $0.search(words, in: place) }
        guard !found.isEmpty else { return say(faint("* nothing found")) }
        for hit in found {
            let id = hit["conversation"].string ?? ""
            let title = place == nil ? "[\(Printable.line(await book.conversation(id)?.title ?? "?"))] " : ""
            let parts = (hit["fragment"].array ?? []).map { part in
                let text = Printable.line(part["text"].string ?? "")
                return part["match"].bool == true ? bold(text) : text
            }
            let who = await book.name(hit["sender"].string ?? "")
            say(
                "\(title)\(clock(hit["sent_at"].string, withDay: true)) #\(hit["seq"].int ?? 0) \(who): \(parts.joined())"
            )
        }
    }

    // MARK: Conversations

    private func openConversation() throws -> String {
        guard case .conversation(let id)? = target else { throw Refusal("no conversation is open: /open NAME first") }
        return id
    }

    private func openGroup() throws -> String {
        guard case .conversation(let id)? = target,
            book.conversations.first(where: { $0.id == id })?.isGroup == true
        else { throw Refusal("no group is open: /open NAME first") }
        return id
    }

    private func user(named name: String) async throws -> String {
        guard let user = try await book.user(named: name) else {
            throw Refusal("there is no user \(Printable.line(name))")
        }
        return user
    }

    /// `@name`: a user; else what is in the list, a user, or a group.
    private func open(named name: String) async throws {
        try await book.refresh()
        let isUser = name.hasPrefix("@")
        let wanted = (isUser ? String(name.dropFirst()) : name).lowercased()
        let known = book.conversations.first {
            ($0.title.lowercased() == wanted && !(isUser && $0.isGroup)) || $0.id == wanted
        }
        if let known {
            open(.conversation(known.id))
            say(faint("* \(known.isGroup ? "the group" : "you and") \(Printable.line(known.title))"))
            let id = known.id
            try await show(signedIn.withAccount { try await $0.history(id, limit: 20) }.reversed())
            if newestShown > 0 { live.signal(ChatFrames.read(id, newestShown)) }
            book.change(id) { ($0.unread, $0.mentions) = (0, 0) }
            return
        }
        let user = try await user(named: wanted)
        open(.user(user))
        say(faint("* nothing said with \(await book.name(user)) yet"))
    }

    private func mute(_ hours: Int?) async throws {
        let conversation = try openConversation()
        let until = hours.map {
            Date(timeIntervalSinceNow: Double(min($0, 24 * 3650)) * 3600).formatted(.iso8601)
        }
        try await signedIn.withAccount { try await $0.mute(conversation, until: until) }
    }

    // MARK: Groups

    private func groups(_ words: String?) async throws {
        let found = try await signedIn.withAccount { account in
            if let words { return try await account.publicGroups(words) }
            return try await account.groups()
        }
        guard !found.isEmpty else { return say(faint("* no groups")) }
        say(
            found.map { group in
                let about = Printable.line(group["about"].string ?? "")
                let role = group["role"].string.map { ", you are \(Printable.line($0))" } ?? ""
                let count = group["member_count"].int ?? 0
                return
                    "\(bold(Printable.line(group["name"].string ?? "")))  \(Printable.line(group["id"].string ?? ""))  "
                    + "\(count) member\(count == 1 ? "" : "s")\(role)\(about.isEmpty ? "" : "  \(about)")"
            })
    }

    private func create(_ name: String, isPublic: Bool, members: [String]) async throws {
        var users: [String] = []
        for member in members { users.append(try await user(named: member)) }
        let invited = users
        let group = try await signedIn.withAccount {
            try await $0.createGroup(name, isPublic: isPublic, members: invited)
        }
        try await entered(group["id"].string ?? "")
    }

    /// A group's name or id, or an invitation's code or URL.
    private func join(_ what: String) async throws {
        let found = try await signedIn.withAccount { try await $0.publicGroups(what) }
        let byName = found.first { $0["name"].string?.lowercased() == what.lowercased() }?["id"].string
        if let group = byName ?? (what.allSatisfy(\.isNumber) ? what : nil) {
            try await signedIn.withAccount { try await $0.join(group: group) }
            try await entered(group)
            return
        }
        let code = what.split(separator: "/").last.map(String.init) ?? what
        let group = try await signedIn.withAccount { try await $0.join(invite: code) }
        try await entered(group["id"].string ?? group["group"]["id"].string ?? "")
    }

    private func entered(_ group: String) async throws {
        try await book.refresh()
        guard let conversation = await book.conversation(group) else { return }
        open(.conversation(group))
        say(faint("* the group \(Printable.line(conversation.title)) is open"))
    }

    private func invite(_ name: String?) async throws {
        let group = try openGroup()
        if let name {
            let user = try await user(named: name)
            try await signedIn.withAccount { try await $0.setMember(user, of: group) }
            return
        }
        let invite = try await signedIn.withAccount { try await $0.invite(to: group) }
        let expires = invite["expires_at"].string.map { ", good until \(clock($0, withDay: true))" } ?? ""
        say("* /join \(Printable.line(invite["code"].string ?? ""))\(expires)")
    }

    private func members() async throws {
        let group = try openGroup()
        let members = try await signedIn.withAccount { try await $0.members(of: group) }
        var lines: [String] = []
        for member in members.prefix(200) {
            let user = member["user"]["id"].string ?? member["user"].string ?? member["id"].string ?? ""
            let known = member["user"]["username"].string ?? member["username"].string
            let name = if let known { Printable.line(known) } else { await book.name(user) }
            lines.append("  \(name)  \(Printable.line(member["role"].string ?? ""))")
        }
        if members.count > 200 { lines.append("  and \(members.count - 200) more") }
        say(lines)
    }
}
