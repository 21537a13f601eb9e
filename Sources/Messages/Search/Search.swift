import ChatModel
package import Protocol
import RPC
import ServiceKit

/// Finds messages that a user may read: the index says where the words were, the log what the message says now and whether
/// the user may see it. What was deleted, or edited so that the words are gone, is never shown, however far behind the index is.
package struct Search: Sendable {
    struct Hit: Sendable {
        var message: RelayMessage
        var fragment: Fragment
    }

    /// Times that the index is asked for one page: where most of what it has falls away, a page is shorter than asked for.
    private static let rounds = 5

    private let index: SearchIndex
    private let relay: RelayStub
    let kind: MessagesKind

    package init(index: SearchIndex, relay: RelayStub, kind: MessagesKind) {
        self.index = index
        self.relay = relay
        self.kind = kind
    }

    /// A page of hits, newest first, and where the next one begins.
    func page(_ query: SearchQuery, for user: UInt64, limit: Int, cursor: String?) async throws -> ([Hit], String?) {
        var position: SearchIndex.Position?
        if let cursor {
            position = SearchIndex.Position(cursor)
            guard position != nil else { throw Problem.field("cursor", "is not one of ours") }
        }
        switch try await index.meaning(of: query.text) {
        case .words: break
        case .nothing: return ([], nil)
        case .exclusions: throw Problem.field("q", "must have a word to look for, not only some to leave out")
        }
        let windows = try await windows(query, of: user)
        if windows.isEmpty { return ([], nil) }
        var hits: [Hit] = []
        for _ in 0..<Self.rounds {
            let wanted = min(max(limit - hits.count + 5, 20), 100)
            let candidates = try await index.candidates(query, in: windows, after: position, limit: wanted)
            let found = try await present(candidates, query, user)
            for (place, candidate) in candidates.enumerated() {
                guard let hit = found[candidate] else { continue }
                hits.append(hit)
                if hits.count == limit {
                    let isLast = place == candidates.count - 1 && candidates.count < wanted
                    return (hits, isLast ? nil : candidate.text)
                }
            }
            guard candidates.count == wanted, let last = candidates.last else { return (hits, nil) }
            position = last
        }
        return (hits, position?.text)
    }

    private func windows(_ query: SearchQuery, of user: UInt64) async throws -> [RelayWindow] {
        var request = RelayWindowsRequest()
        request.user = user
        request.kind = kind.wire
        if let only = query.conversation {
            guard kind.holds(only) else { throw Problem.notFound("There is no such conversation.") }
            request.only = only.rawValue
        }
        let windows = try await relay.windows(request).windows
        if windows.isEmpty, query.conversation != nil { throw Problem.notFound("There is no such conversation.") }
        return windows.filter { $0.until > $0.after }
    }

    /// Those that still say it, and that the user may see.
    private func present(
        _ candidates: [SearchIndex.Position], _ query: SearchQuery, _ user: UInt64
    ) async throws -> Found {
        var found = Found()
        guard !candidates.isEmpty else { return found }
        var request = RelayLookupRequest()
        request.user = user
        request.messages = candidates.map { candidate in
            var cursor = RelayCursor()
            cursor.conversation = candidate.conversation
            cursor.seq = candidate.seq
            return cursor
        }
        let messages = try await relay.lookup(request).messages.filter { !$0.deleted && !$0.event.deleted }
        guard !messages.isEmpty else { return found }
        let fragments = try await index.fragments(of: messages.map(\.event.body.text), for: query)
        for (message, fragment) in zip(messages, fragments) {
            if let fragment { found.add(Hit(message: message, fragment: fragment)) }
        }
        return found
    }

    /// Hits by what identifies their messages.
    private struct Found {
        private var hits: [IndexChanges.Message: Hit] = [:]

        mutating func add(_ hit: Hit) {
            hits[.init(conversation: hit.message.event.conversation, seq: hit.message.event.seq)] = hit
        }

        subscript(candidate: SearchIndex.Position) -> Hit? {
            hits[.init(conversation: candidate.conversation, seq: candidate.seq)]
        }
    }
}
