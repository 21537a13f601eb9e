package import Client
import DequeModule
import Foundation
import Protocol

/// `roost chat`: what comes from the server is printed, what is typed is done. Confined to the task that runs it.
package final class ChatTerminal {
    enum Input: Sendable {
        case update(LiveConnection.Update)
        case bytes([UInt8])
        case endOfInput
        case stop
        case tick
    }

    /// Where a typed line goes.
    enum Target: Equatable {
        case conversation(String)
        /// A user with whom there is no conversation yet.
        case user(String)
    }

    let signedIn: SignedIn
    let live: LiveConnection
    private let terminal: Terminal
    private let isStyled: Bool
    private var screen: Screen
    private var editor = LineEditor()
    private var decoder = KeyDecoder()
    /// What came over a pipe: a line that has no end yet, and lines that wait for what was asked before them, so that a
    /// script need not wait.
    private var partialLine: [UInt8] = []
    private var waitingLines: Deque<String> = []
    private var isInputOver = false

    var book: ChatBook
    var target: Target?
    /// Of the open conversation: what has been shown, and the user's own last message.
    var oldestShown: Int?
    var newestShown = 0
    var ownLast: Int?
    private var hasSynced = false
    private var typing: [String: ContinuousClock.Instant] = [:]
    private var toldTyping: ContinuousClock.Instant?
    private var presences: [String: Bool] = [:]
    private var watched: String?
    /// What was asked for with which ref, until the answer has been dealt with.
    private var asked: [String: String] = [:]
    private var endBy: ContinuousClock.Instant?
    private var isOver = false

    var user: String { signedIn.account.user }

    /// - Parameter isStyled: bold and faint text, where it is a terminal.
    package init(_ signedIn: SignedIn, terminal: Terminal, isStyled: Bool) {
        self.signedIn = signedIn
        self.terminal = terminal
        self.isStyled = isStyled && terminal.isInteractive
        live = LiveConnection(signedIn, client: "roost-chat/1")
        screen = Screen(width: terminal.width)
        book = ChatBook(signedIn)
    }

    /// Runs until the user has enough, the input ends, `stop` gives something, or the server says that it is over.
    ///
    /// - Parameter open: a conversation to begin with.
    package func run(open: String? = nil, stop: some AsyncSequence<some Sendable, Never> & Sendable) async {
        let (inputs, feed) = AsyncStream<Input>.makeStream()
        let (live, bytes) = (live, terminal.input())
        terminal.enterRaw()
        defer {
            terminal.write(screen.erase())
            terminal.restore()
        }
        updatePrompt()
        if let open { await submit("/open \(open)") }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await live.run() }
            group.addTask { for await update in live.updates { feed.yield(.update(update)) } }
            group.addTask {
                for await bytes in bytes { feed.yield(.bytes(bytes)) }
                feed.yield(.endOfInput)
            }
            group.addTask {
                for await _ in stop { break }
                if !Task.isCancelled { feed.yield(.stop) }
            }
            group.addTask {
                while !Task.isCancelled {
                    try? await Task.sleep(for: .seconds(1))
                    feed.yield(.tick)
                }
            }
            for await input in inputs {
                await handle(input)
                if isOver { break }
            }
            group.cancelAll()
        }
    }

    // MARK: Input

    private func handle(_ input: Input) async {
        switch input {
        case .update(let update): await handle(update)
        case .bytes(let bytes): await typed(bytes)
        case .endOfInput:
            if !partialLine.isEmpty { waitingLines.append(String(decoding: partialLine, as: UTF8.self)) }
            isInputOver = true
        case .stop: isOver = true
        case .tick:
            let now = ContinuousClock.now
            let before = typing.count
            typing = typing.filter { $0.value > now }
            if typing.count != before { updatePrompt() }
            if let endBy, now > endBy {
                say("! not answered any more: \(asked.count)")
                isOver = true
            }
        }
        while hasSynced, endBy == nil, asked.isEmpty, let line = waitingLines.popFirst() { await submit(line) }
        if isInputOver, waitingLines.isEmpty { finish() }
        // What was said before the end is stored before it ends.
        if endBy != nil, asked.isEmpty { isOver = true }
    }

    /// Ends as soon as everything has been answered.
    func finish() {
        if endBy == nil { endBy = .now + .seconds(10) }
    }

    private func typed(_ bytes: [UInt8]) async {
        guard terminal.isInteractive else {
            partialLine += bytes
            while let end = partialLine.firstIndex(of: 0x0A) {
                var line = String(decoding: partialLine[..<end], as: UTF8.self)
                partialLine.removeFirst(end + 1)
                if line.last == "\r" { line.removeLast() }
                waitingLines.append(line)
            }
            return
        }
        for key in decoder.decode(bytes) {
            switch editor.handle(key) {
            case .edited:
                if case .text = key { tellTyping() }
            case .submitted(let line):
                terminal.write(screen.draw(editor))
                toldTyping = nil
                await submit(line)
            case .ended: finish()
            case .redraw: terminal.write("\u{1B}[2J\u{1B}[H")
            }
        }
        screen.width = terminal.width
        if endBy == nil { terminal.write(screen.draw(editor)) }
    }

    private func tellTyping() {
        guard case .conversation(let id)? = target, editor.text.first != "/" else { return }
        let now = ContinuousClock.now
        if let toldTyping, now - toldTyping < .seconds(3) { return }
        toldTyping = now
        live.signal(ChatFrames.typing(id, isActive: true))
    }

    private func submit(_ line: String) async {
        guard let command = Command(line) else { return }
        do {
            try await carryOut(command)
        } catch let failure as RESTFailure {
            say("! \(Printable.line(failure.detail.isEmpty ? failure.description : failure.detail))")
        } catch let refusal as Refusal {
            say("! \(refusal.text)")
        } catch {
            say("! \(Printable.line("\(error)"))")
        }
    }

    static let notSent = "not sent"

    /// Sends a frame that is answered; `what`: what could not be done, where it is refused.
    func ask(_ what: String, _ frame: (_ ref: String) -> JSONValue) {
        let ref = UUID().uuidString
        asked[ref] = what
        live.send(ref: ref, frame(ref))
    }

    // MARK: Output

    /// Prints lines, which are trusted.
    func say(_ lines: String...) { say(lines) }

    func say(_ lines: [String]) {
        if terminal.isInteractive {
            screen.width = terminal.width
            terminal.write(screen.print(lines, editor))
        } else {
            terminal.write(lines.map { $0 + "\n" }.joined())
        }
    }

    func faint(_ text: String) -> String { isStyled ? "\u{1B}[2m\(text)\u{1B}[0m" : text }
    func bold(_ text: String) -> String { isStyled ? "\u{1B}[1m\(text)\u{1B}[0m" : text }

    private func updatePrompt() {
        guard terminal.isInteractive else { return }
        let title =
            switch target {
            case nil: "roost"
            case .conversation(let id): book.conversations.first { $0.id == id }?.title ?? "?"
            case .user: "new"
            }
        let typists = typing.keys.sorted()
        let note = typists.isEmpty ? "" : " (\(typists.joined(separator: ", ")) typing)"
        screen.prompt = Printable.line(title) + note + "> "
        screen.width = terminal.width
        terminal.write(screen.draw(editor))
    }

    // MARK: Updates

    private func handle(_ update: LiveConnection.Update) async {
        switch update {
        case .connected(let node, let isFirst):
            if !isFirst { say(faint("* connected again, to \(Printable.line(node))")) }
            if let watched { live.signal(ChatFrames.watch([watched])) }
        case .lost(let reason): say(faint("* \(Printable.line(reason)); connecting again"))
        case .ended(let reason):
            say("! \(Printable.line(reason))")
            isOver = true
        case .frame(let frame): await handle(frame)
        }
    }

    private func handle(_ frame: JSONValue) async {
        switch frame["type"].string {
        case "event": await event(frame)
        case "synced":
            guard !hasSynced else { return }
            hasSynced = true
            try? await book.refresh()
            say(listing())
            if case .conversation(let id)? = target, newestShown > 0 { live.signal(ChatFrames.read(id, newestShown)) }
            updatePrompt()
        case "ack":
            let what = asked.removeValue(forKey: frame["ref"].string ?? "")
            guard let id = frame["conversation"].string, what == Self.notSent else { return }
            if case .user? = target { await opened(unlessKnown: id) }
            if isOpen(id) { ownLast = max(ownLast ?? 0, frame["seq"].int ?? 0) }
        case "error":
            let what = asked.removeValue(forKey: frame["ref"].string ?? "")
            let message = Printable.line(frame["message"].string ?? frame["code"].string ?? "refused")
            say("! \(what.map { "\($0): " } ?? "")\(message)")
        case "typing":
            guard let user = frame["user"].string, user != self.user, isOpen(frame["conversation"].string) else {
                return
            }
            let name = await book.name(user)
            let wasTyping = typing[name] != nil
            typing[name] = frame["active"].bool == true ? .now + .seconds(6) : nil
            if terminal.isInteractive {
                updatePrompt()
            } else if typing[name] != nil, !wasTyping {
                say("* \(name) is typing")
            }
        case "presence":
            guard let user = frame["user"].string, let isOnline = frame["online"].bool else { return }
            guard presences.updateValue(isOnline, forKey: user) != isOnline else { return }
            say(faint("* \(await book.name(user)) \(presence(frame))"))
        case "receipt":
            guard let user = frame["user"].string, let id = frame["conversation"].string else { return }
            guard let read = frame["read"].int else { return }
            if user == self.user {
                book.change(id) { ($0.unread, $0.mentions) = (0, 0) }
            } else if isOpen(id), book.conversations.first(where: { $0.id == id })?.isGroup == false {
                say(faint("* \(await book.name(user)) has read up to #\(read)"))
            }
        case "muted":
            guard let id = frame["conversation"].string, let conversation = await book.conversation(id) else { return }
            let isMuted = !frame["until"].isNull
            book.change(id) { $0.isMuted = isMuted }
            say(faint("* \(Printable.line(conversation.title)) is \(isMuted ? "muted" : "no longer muted")"))
        default: break
        }
    }

    func isOpen(_ conversation: String?) -> Bool {
        conversation != nil && target == conversation.map { .conversation($0) }
    }

    func presence(_ json: JSONValue) -> String {
        guard json["online"].bool != true else { return "is online" }
        guard let time = json["last_seen"].string else { return "is not online" }
        return "was last seen at \(clock(time, withDay: true))"
    }

    // MARK: Conversations

    /// A conversation with a user has come to be: it is what is open, if it was meant.
    private func opened(unlessKnown id: String) async {
        guard case .user(let peer)? = target, let conversation = await book.conversation(id), conversation.peer == peer
        else { return }
        target = .conversation(id)
        updatePrompt()
    }

    func open(_ new: Target) {
        target = new
        (oldestShown, newestShown, ownLast) = (nil, 0, nil)
        typing = [:]
        if let watched { live.signal(ChatFrames.unwatch([watched])) }
        watched = nil
        let peer: String? =
            switch new {
            case .user(let user): user
            case .conversation(let id): book.conversations.first { $0.id == id }?.peer
            }
        if let peer {
            watched = peer
            presences[peer] = nil
            live.signal(ChatFrames.watch([peer]))
        }
        updatePrompt()
    }

    func closeOpen() {
        target = nil
        updatePrompt()
    }

    func listing() -> [String] {
        guard !book.conversations.isEmpty else {
            return [faint("No conversations yet: /open USER begins one, /groups WORDS finds groups, /help says more.")]
        }
        return book.conversations.prefix(30).map { conversation in
            let unread = conversation.unread > 0 ? "  \(conversation.unread) unread" : ""
            let mentions = conversation.mentions > 0 ? ", \(conversation.mentions) for you" : ""
            let muted = conversation.isMuted ? "  muted" : ""
            let kind = conversation.isGroup ? "group" : "     "
            return "\(kind)  \(bold(Printable.line(conversation.title)))\(unread)\(mentions)\(muted)"
        }
    }

    // MARK: Events

    private func event(_ event: JSONValue) async {
        guard let id = event["conversation"].string, let seq = event["seq"].int else { return }
        if case .user? = target { await opened(unlessKnown: id) }
        let isMessage = event["kind"] == "message"
        let isOwn = event["sender"].string == user
        // What was missed is counted in the list, and read by opening it.
        guard hasSynced else { return }
        if event["kind"] == "member", event["user"].string == user { book.forget(id) }
        let conversation = await book.conversation(id)
        if isOpen(id) {
            if isMessage, seq <= newestShown { return }
            if isMessage { newestShown = seq }
            if isMessage, isOwn { ownLast = seq }
            if !isOwn { live.signal(ChatFrames.read(id, seq)) }
        } else if isMessage, !isOwn {
            book.change(id) { $0.unread += 1 }
            if conversation?.isMuted == true { return }
        }
        let lines = await described(event)
        guard let first = lines.first else { return }
        let place = isOpen(id) ? "" : "[\(Printable.line(conversation?.title ?? "a conversation"))] "
        if let sender = event["sender"].string, isMessage { typing[await book.name(sender)] = nil }
        updatePromptTitle()
        say([place + first] + lines.dropFirst())
        await left(event, id)
    }

    private func updatePromptTitle() { if terminal.isInteractive { updatePrompt() } }

    /// The user is no longer there.
    private func left(_ event: JSONValue, _ id: String) async {
        let isGone =
            event["user"].string == user && ["left", "removed", "banned"].contains(event["change"].string)
            || event["group"]["deleted"].bool == true
        guard isGone else { return }
        book.forget(id)
        if isOpen(id) { closeOpen() }
    }
}

/// Something that can't be done, said to the user.
struct Refusal: Error {
    /// Trusted.
    var text: String
    init(_ text: String) { self.text = text }
}
