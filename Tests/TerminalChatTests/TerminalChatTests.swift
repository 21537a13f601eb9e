import Foundation
import Testing

@testable import TerminalChat

@Suite struct PrintableTests {
    @Test(arguments: [
        ("plain", "plain"), ("\u{1B}[31mred\u{1B}[0m", "[31mred[0m"), ("a\u{9B}2Jb", "a2Jb"), ("a\rb\nc\td", "a b c d"),
        ("bell\u{7}\u{0}\u{7F}", "bell"), ("\u{202E}evil\u{2066}", "evil"), ("👩‍👩‍👧 ünïcode 漢字", "👩‍👩‍👧 ünïcode 漢字"),
        ("\u{1B}]0;title\u{7}x", "]0;titlex"),
    ])
    func controlsAreLeftOut(_ text: String, _ printed: String) {
        #expect(Printable.line(text) == printed)
        #expect(
            Printable.lines(text).joined().unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F...0x9F ~= $0.value) })
    }

    @Test func everyScalarIsSafeOrLeftOut() {
        for value in 0...0x2FFF as ClosedRange<UInt32> {
            guard let scalar = Unicode.Scalar(value) else { continue }
            let printed = Printable.line("a\(Character(scalar))b").unicodeScalars
            #expect(printed.allSatisfy { $0.properties.generalCategory != .control }, "U+\(String(value, radix: 16))")
        }
    }

    @Test func linesAreCutWhereverATerminalWould() {
        #expect(Printable.lines("a\r\nb\nc\u{2028}d\u{B}e") == ["a", "b", "c", "d", "e"])
        #expect(Printable.lines("") == [""])
        #expect(Printable.lines("a\n\n") == ["a", "", ""])
    }

    @Test func widths() {
        #expect(Printable.columns("abc") == 3)
        #expect(Printable.columns("漢字") == 4)
        #expect(Printable.columns("👍") == 2)
        #expect(Printable.columns("e\u{301}") == 1)
    }
}

@Suite struct KeyDecoderTests {
    private let typed = Array("hé漢👍".utf8) + [0x1B, 0x5B, 0x44, 0x7F] + Array("\u{1B}[200~a\r\nb\u{1B}[201~\r".utf8)
    private let keys: [Key] = [.text("hé漢👍"), .left, .backspace, .text("a"), .lineBreak, .text("b"), .enter]

    @Test func keysAreWhatTheyAreWhereverTheyAreCut() {
        for cut in 0...typed.count {
            var decoder = KeyDecoder()
            var found = decoder.decode(typed[..<cut])
            for key in decoder.decode(typed[cut...]) {
                if case .text(let more) = key, case .text(let text)? = found.last, found.count == 1 {
                    found[0] = .text(text + more)
                } else {
                    found.append(key)
                }
            }
            #expect(found == keys, "cut at \(cut)")
        }
    }

    @Test func whatIsNoKeyIsLeftOut() {
        var decoder = KeyDecoder()
        #expect(decoder.decode([0x1B, 0x5B, 0x31, 0x35, 0x7E, 0xFF, 0xC3, 0x41]) == [.text("A")])
        #expect(decoder.decode([0x03, 0x04]) == [.interrupt, .endOfInput])
    }
}

@Suite struct LineEditorTests {
    private func edited(_ keys: [Key]) -> (LineEditor, LineEditor.Outcome) {
        var editor = LineEditor()
        var outcome = LineEditor.Outcome.edited
        for key in keys { outcome = editor.handle(key) }
        return (editor, outcome)
    }

    @Test func linesAreEdited() {
        #expect(edited([.text("helo"), .left, .text("l"), .enter]).1 == .submitted("hello"))
        #expect(edited([.text("one two"), .killWord, .text("three"), .enter]).1 == .submitted("one three"))
        #expect(edited([.text("abc"), .home, .delete, .end, .backspace, .enter]).1 == .submitted("b"))
        #expect(edited([.text("abc"), .left, .killToEnd, .enter]).1 == .submitted("ab"))
        #expect(edited([.text("abc"), .left, .killToStart, .enter]).1 == .submitted("c"))
        #expect(edited([.text("abc"), .interrupt]).1 == .edited)
        #expect(edited([.interrupt]).1 == .ended)
        #expect(edited([.text("x"), .endOfInput]).1 == .edited)
    }

    @Test func combiningCharactersJoin() {
        #expect(edited([.text("e"), .text("\u{301}"), .backspace, .enter]).1 == .submitted(""))
    }

    @Test func historyComesBack() {
        #expect(edited([.text("a"), .enter, .text("b"), .enter, .text("c"), .up, .up, .enter]).1 == .submitted("a"))
        #expect(edited([.text("a"), .enter, .text("new"), .up, .down, .enter]).1 == .submitted("new"))
    }
}

@Suite struct ScreenTests {
    private func editor(_ keys: Key...) -> LineEditor {
        var editor = LineEditor()
        for key in keys { _ = editor.handle(key) }
        return editor
    }

    @Test func aLineGoesAboveThePrompt() {
        var screen = Screen(width: 40)
        #expect(screen.draw(editor(.text("hal"))) == "\r\u{1B}[K> hal")
        #expect(screen.print(["bob: hi"], editor(.text("hal"))) == "\r\u{1B}[Kbob: hi\n\r\u{1B}[K> hal")
        #expect(screen.draw(editor(.text("hal"), .left, .left)) == "\r\u{1B}[K> hal\u{1B}[2D")
    }

    @Test(arguments: [10, 20, 80]) func thePromptIsAlwaysOneRow(_ width: Int) {
        var screen = Screen(width: width)
        screen.prompt = "漢字漢字漢字漢字漢字 and more> "
        let text = String(repeating: "漢a👍", count: 60)
        var line = editor(.text(text))
        for step in 0...text.count {
            let drawn = screen.draw(line).dropFirst("\r\u{1B}[K".count)
            let shown = drawn.prefix { $0 != "\u{1B}" }
            #expect(Printable.columns(shown) <= width, "step \(step)")
            _ = line.handle(.left)
        }
    }
}

@Suite struct CommandTests {
    @Test func linesAreWhatTheySay() {
        #expect(Command("  ") == nil)
        #expect(Command("hello /world") == .say("hello /world"))
        #expect(Command("//shrug") == .say("/shrug"))
        #expect(Command("/open  Team Rocket ") == .open("Team Rocket"))
        #expect(Command("/edit #17 new text") == .edit(seq: 17, text: "new text"))
        #expect(Command("/edit new text") == .edit(seq: nil, text: "new text"))
        #expect(Command("/delete") == .delete(seq: nil))
        #expect(Command("/delete 3") == .delete(seq: 3))
        #expect(Command("/react 3 👍") == .react(seq: 3, emoji: "👍", removed: false))
        #expect(Command("/unreact #3 👍") == .react(seq: 3, emoji: "👍", removed: true))
        #expect(Command("/reply #4 yes it is") == .reply(seq: 4, text: "yes it is"))
        #expect(
            Command("/create The team --public @bob @carol")
                == .create(name: "The team", isPublic: true, members: ["bob", "carol"]))
        #expect(Command("/invite @bob") == .invite("bob"))
        #expect(Command("/mute off") == .mute(hours: nil))
        #expect(Command("/mute 3") == .mute(hours: 3))
        #expect(Command("/role bob admin") == .role("bob", "admin"))
        for wrong in ["/react", "/open", "/edit", "/reply x", "/mute x", "/role bob king", "/\u{1B}[2J"] {
            guard case .wrong(let text)? = Command(wrong) else {
                Issue.record("\(wrong) is taken")
                continue
            }
            #expect(!text.unicodeScalars.contains("\u{1B}"))
        }
    }
}

@Suite struct SavedDevicesTests {
    @Test func theFileIsItsOwnersAlone() throws {
        let folder = NSTemporaryDirectory() + "roost-devices-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let devices = SavedDevices(folder: folder + "/roost")
        #expect(devices.device(of: "alice", at: "http://a") == nil)
        try devices.save("7", of: "alice", at: "http://a")
        try devices.save("8", of: "alice", at: "http://b")
        #expect(devices.device(of: "alice", at: "http://a") == "7")
        #expect(devices.device(of: "alice", at: "http://b") == "8")
        let attributes = try FileManager.default.attributesOfItem(atPath: folder + "/roost/devices.json")
        #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o600)
    }
}
