import Testing
import Users

@Suite struct AccountRulesTests {
    @Test(arguments: ["bob", "a.b", "u_1-x", "0123456789abcdef0123456789abcdef"])
    func goodUsernames(_ name: String) throws { #expect(try AccountRules.username(name) == name) }

    @Test func usernamesAreFolded() throws { #expect(try AccountRules.username("Alice") == "alice") }

    @Test(arguments: ["", "ab", "a b", "bob!", "böb", "bob\u{0}", "0123456789abcdef0123456789abcdef0", "Ⅷvi", "ſss"])
    func badUsernames(_ name: String) {
        #expect(throws: AccountRules.Refusal.self) { try AccountRules.username(name) }
    }

    @Test(arguments: [
        "a@b.c", "first.last+tag@sub.example.org", "o'neil@example.org", "käthe@müller.example", " x@y.zz ",
    ])
    func goodAddresses(_ text: String) throws { _ = try AccountRules.email(text) }

    @Test(arguments: [
        "", "a", "a@b", "@b.c", "a@", "a@@b.c", "a@b@c.d", "a b@c.d", "a@b..c", "a@.b.c", "a@-b.c", "a@b-.c", ".a@b.c",
        "a.@b.c", "a..b@c.d", "\"a b\"@c.d", "<a@b.c>", "a@b.c\n", "a\u{0}@b.c", "a@b.c/d", "a@[1.2.3.4]",
        String(repeating: "x", count: 65) + "@b.c", "a@" + String(repeating: "b.", count: 130) + "c",
    ])
    func badAddresses(_ text: String) {
        #expect(throws: AccountRules.Refusal.self) { try AccountRules.email(text) }
    }

    @Test(arguments: [
        "1234567", "password", "PassWord", "Password1", "qwertyuiop", "aaaaaaaa", "abababab", "23456789", "hgfedcba",
        "iloveyou", "bob-the-builder", "Bob@Example.Org", "", String(repeating: "xy1", count: 86),
    ])
    func badPasswords(_ text: String) {
        #expect(throws: AccountRules.Refusal.self) {
            try AccountRules.password(text, username: "bob-the-builder", email: "bob@example.org")
        }
    }

    @Test(arguments: [
        "orange tractor 9", "пароль-кот", "🦊🦊🐻🐻🐱🐱🐶🐷", "a\tb\nc d e f", String(repeating: "ab3", count: 85),
    ])
    func goodPasswords(_ text: String) throws {
        #expect(try AccountRules.password(text, username: "bob", email: "bob@example.org") == text)
    }

    @Test func displayNames() throws {
        #expect(try AccountRules.displayName("  Zoë 👩‍👩‍👧 ") == "Zoë 👩‍👩‍👧")
        for bad in [
            "", "   ", "a\nb", "a\u{202E}b", "a\u{0}", String(repeating: "x", count: 65),
            String(repeating: "e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}", count: 64),
        ] {
            #expect(throws: AccountRules.Refusal.self) { try AccountRules.displayName(bad) }
        }
        #expect(try AccountRules.about("two\nlines") == "two\nlines")
        #expect(try AccountRules.about("").isEmpty)
    }

    @Test func searchKeysAreTheNamesFromEachWordOn() {
        #expect(
            AccountRules.searchKeys(username: "as", displayName: " Anna  Maria SMITH") == [
                "as", "anna maria smith", "maria smith", "smith",
            ])
        let many = Array(repeating: "w", count: 32).joined(separator: " ")
        #expect(AccountRules.searchKeys(username: "u", displayName: many).count == 9)
    }
}
