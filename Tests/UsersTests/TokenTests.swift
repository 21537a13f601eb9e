import ChatModel
import Crypto
import ServiceKit
import Testing
import Users

@Suite struct TokenTests {
    private let key = SymmetricKey(size: .bits256)
    private let other = SymmetricKey(size: .bits256)

    @Test func refreshTokensRoundTrip() {
        let token = RefreshToken(device: DeviceID(rawValue: UInt64(Int64.max)), family: -5, generation: 7)
        let text = token.encoded(key: key)
        #expect(token.encoded(key: key) == text, "the same values give the same token")
        #expect(RefreshToken(text, keys: [other, key]) == token)
        #expect(RefreshToken(text, keys: [other]) == nil)
        for index in text.indices.dropFirst(9) {
            var changed = text
            changed.replaceSubrange(index...index, with: text[index] == "A" ? "B" : "A")
            #expect(RefreshToken(changed, keys: [key]) == nil)
        }
        for bad in [
            "", "roost-r1.", String(text.dropLast()), text + "A", text + "=", String(repeating: "a", count: 5000),
        ] {
            #expect(RefreshToken(bad, keys: [key]) == nil)
        }
    }

    @Test func rotation() {
        let now: Int64 = 1_000_000
        func decide(_ generation: Int64, family: Int64 = 1, lastUsed: Int64 = 995_000, revoked: Bool = false)
            -> Rotation
        {
            Rotation.decide(
                RefreshToken(device: DeviceID(rawValue: 1), family: family, generation: generation),
                session: .init(family: 1, generation: 5, lastUsed: lastUsed, revoked: revoked), now: now)
        }
        #expect(decide(5) == .rotate)
        #expect(decide(4) == .repeat, "its answer may have been lost")
        #expect(decide(4, lastUsed: 989_999) == .reuse, "too long ago for that")
        #expect(decide(3) == .reuse, "its successor has been used")
        #expect(decide(6) == .refuse)
        #expect(decide(5, family: 2) == .refuse, "of an earlier login")
        #expect(decide(3, family: 2) == .refuse)
        #expect(decide(5, revoked: true) == .refuse)
        #expect(decide(3, revoked: true) == .refuse)
        #expect(decide(5, lastUsed: now - Rotation.idleLifetime) == .refuse)
    }

    @Test func tickets() {
        let ticket = Ticket(
            user: UserID(rawValue: 1), device: DeviceID(rawValue: 2), expires: 30_000, nonce: Array(0..<16))
        let text = ticket.encoded(key: key)
        #expect(text.utf8.allSatisfy { $0 != 0x2B && $0 != 0x2F && $0 != 0x3D }, "it can stand in a URL")
        #expect(Ticket(text, keys: [key], now: 29_999) == ticket)
        #expect(Ticket(text, keys: [key], now: 30_000) == nil)
        #expect(Ticket(text, keys: [other], now: 0) == nil)
        for index in text.indices {
            var changed = text
            changed.replaceSubrange(index...index, with: text[index] == "A" ? "B" : "A")
            #expect(Ticket(changed, keys: [key], now: 0) == nil)
        }
        for bad in ["", "x", text + "A", String(text.dropLast()), String(repeating: "A", count: 98), "é"] {
            #expect(Ticket(bad, keys: [key], now: 0) == nil)
        }
    }

    @Test func base64() {
        for count in 0..<40 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 77 &+ count) }
            #expect(Base64URL.decode(Base64URL.encode(bytes)) == bytes)
        }
        #expect(Base64URL.decode("AB") == nil, "bits that mean nothing must be zero")
        #expect(Base64URL.decode("A") == nil)
        #expect(Base64URL.decode("AA==") == nil)
        #expect(Base64URL.decode("+/") == nil)
    }

    @Test func scryptIsTheStandards() throws {
        // RFC 7914, section 12: the first half of the second vector's 64 bytes.
        let hash = try PasswordHash(
            password: "password", salt: Array("NaCl".utf8), cost: .init(logN: 10, r: 8, p: 16))
        let expected: [UInt8] = [
            0xfd, 0xba, 0xbe, 0x1c, 0x9d, 0x34, 0x72, 0x00, 0x78, 0x56, 0xe7, 0x19, 0x0d, 0x01, 0xe9, 0xfe, 0x7c, 0x6a,
            0xd7, 0xcb, 0xc8, 0x23, 0x78, 0x30, 0xe7, 0x73, 0x76, 0x63, 0x4b, 0x37, 0x31, 0x62,
        ]
        #expect(hash.key == expected)
        let read = try #require(PasswordHash(hash.description))
        #expect(read == hash)
        #expect(try read.matches("password"))
        #expect(try !read.matches("Password"))
        #expect(hash.isWeaker(than: .init(logN: 15, r: 8, p: 1)))
        #expect(!hash.isWeaker(than: .init(logN: 10, r: 8, p: 1)))
    }

    @Test func whatIsNoHashIsRefused() throws {
        let good = try PasswordHash(password: "x", salt: [1, 2, 3], cost: .init(logN: 2)).description
        #expect(PasswordHash(good) != nil)
        for bad in [
            "", "$", "$scrypt$ln=14,r=8,p=1$AA$", good + "$", good.replacing("ln=2", with: "ln=30"),
            good.replacing("r=8", with: "r=0"), good.replacing("p=1", with: "p=x"),
            good.replacing("scrypt", with: "md5"),
            good.replacing(",p=1", with: ""), String(good.dropLast(3)),
        ] { #expect(PasswordHash(bad) == nil, "\(bad)") }
    }

    @Test func revocationsAreToldInOrderOnceAndForgotten() {
        var log = RevocationLog()
        let (one, two) = (DeviceID(rawValue: 1), DeviceID(rawValue: 2))
        let news = [(one, 100), (one, 100), (one, 50), (two, 90)].map { log.insert($0.0, at: $0.1) }
        #expect(news == [true, false, false, true])
        #expect(log.entries(after: 0).map(\.device) == [one, two])
        let position = log.entries(after: 0).last?.position ?? 0
        #expect(log.entries(after: position).isEmpty)
        _ = log.insert(one, at: 200)
        #expect(log.entries(after: position).map(\.at) == [200])
        #expect(log.isRevoked(one, issuedAt: 200) && !log.isRevoked(one, issuedAt: 201))
        log.removeAll(before: 150)
        #expect(log.entries(after: 0).map(\.device) == [one])
        #expect(!log.isRevoked(two, issuedAt: 0))
    }
}
