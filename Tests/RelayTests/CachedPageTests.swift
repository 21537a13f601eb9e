import Protocol
import Relay
import Testing

@Suite struct CachedPageTests {
    @Test func whatIsKeptIsFoundAndNothingElse() throws {
        let page = page(51)
        let bytes = try #require(page.encoded())
        #expect(CachedPage(bytes, conversation: 7, head: 100, activeAt: 5) == page)
        #expect(CachedPage(bytes, conversation: 7, head: 101, activeAt: 5) == nil)
        #expect(CachedPage(bytes, conversation: 7, head: 100, activeAt: 6) == nil)
        #expect(CachedPage(bytes, conversation: 8, head: 100, activeAt: 5) == nil)
        #expect(CachedPage([], conversation: 7, head: 100, activeAt: 5) == nil)
        for end in 0..<bytes.count {
            #expect(CachedPage(Array(bytes[..<end]), conversation: 7, head: 100, activeAt: 5) == nil)
        }
        var random = SystemRandomNumberGenerator()
        for _ in 0..<1000 {
            let noise = (0..<Int.random(in: 0...100, using: &random)).map { _ in UInt8.random(in: 0...255) }
            #expect(CachedPage(noise, conversation: 7, head: 100, activeAt: 5) == nil)
        }
        #expect(
            CachedPage(try #require(self.page(0).encoded()), conversation: 7, head: 100, activeAt: 5)?.messages == [])
        #expect(self.page(51, text: String(repeating: "x", count: 16_000)).encoded() == nil)
    }

    @Test func everyUserSeesTheirs() throws {
        let whole = LogWindow(after: 0, until: 100, head: 100, activeAt: 5)
        let page = page(51)
        let mine = try #require(page.page(for: 1, in: whole, limit: 50))
        #expect(mine.messages.map(\.event.seq) == Array((51...100).reversed()) && mine.more)
        #expect(mine.messages.allSatisfy { $0.event.clientID.isEmpty == ($0.event.sender != 1) })
        #expect(page.page(for: 3, in: whole, limit: 10)?.messages.allSatisfy(\.event.clientID.isEmpty) == true)
        #expect(page.page(for: 1, in: whole, limit: 10)?.more == true)
        // Older ones are not in it, if there are any.
        #expect(page.page(for: 1, in: whole, limit: 51) == nil)
        #expect(self.page(20).page(for: 1, in: whole, limit: 51)?.messages.count == 20)
        // Who joined within the page sees its end.
        let late = LogWindow(after: 95, until: 100, head: 100, activeAt: 5)
        let seen = try #require(page.page(for: 1, in: late, limit: 50))
        #expect(seen.messages.map(\.event.seq) == [100, 99, 98, 97, 96] && !seen.more)
        #expect(page.page(for: 1, in: late, limit: 2)?.more == true)
        let first = LogWindow(after: 50, until: 100, head: 100, activeAt: 5)
        #expect(page.page(for: 1, in: first, limit: 50)?.more == false)
    }

    private func page(_ count: UInt64, text: String = "hello") -> CachedPage {
        CachedPage(
            conversation: 7, head: 100, activeAt: 5,
            messages: (0..<count).map { index in
                var message = RelayMessage()
                message.event.conversation = 7
                message.event.seq = 100 - index
                message.event.kind = .message
                message.event.sender = 1 + index % 2
                message.event.clientID = "c\(index)"
                message.event.body.text = text
                return message
            })
    }
}
