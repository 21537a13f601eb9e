/// A frame of the server as far as a load generator needs it, over the bytes that came: valid while they are.
///
/// The fields are those of `Protos/roost/client/v1/client.proto`.
package enum ServerFrameView {
    case event(EventView)
    case ack(AckView)
    case error(ErrorView)
    case receipt(ReceiptView)
    case typing(TypingView)
    case synced
    case other
    case malformed

    package init(_ bytes: UnsafeRawBufferPointer) {
        var cursor = WireCursor(bytes)
        guard let (field, value) = cursor.next(), case .bytes(let inner) = value else {
            self = .malformed
            return
        }
        switch field {
        case 2: self = EventView(inner).map { .event($0) } ?? .malformed
        case 3: self = .synced
        case 4: self = AckView(inner).map { .ack($0) } ?? .malformed
        case 5: self = ErrorView(inner).map { .error($0) } ?? .malformed
        case 6: self = ReceiptView(inner).map { .receipt($0) } ?? .malformed
        case 7: self = TypingView(inner).map { .typing($0) } ?? .malformed
        case _: self = .other
        }
    }
}

package struct EventView {
    package var conversation = UnsafeRawBufferPointer(start: nil, count: 0)
    package var seq: UInt64 = 0
    package var isMessage = false
    /// Whether this is the sender's own copy.
    package var isOwn = false
    /// The index that the text begins with; nil: none.
    package var index: Int?

    init?(_ bytes: UnsafeRawBufferPointer) {
        var cursor = WireCursor(bytes)
        while let (field, value) = cursor.next() {
            switch (field, value) {
            case (1, .bytes(let bytes)): conversation = bytes
            case (2, .number(let number)): seq = number
            case (4, .bytes(let bytes)): isMessage = bytes.elementsEqual("message".utf8)
            case (7, .bytes(let bytes)): isOwn = !bytes.isEmpty
            case (8, .bytes(let bytes)):
                var body = WireCursor(bytes)
                while let (field, value) = body.next() {
                    guard field == 1, case .bytes(let text) = value else { continue }
                    index = MessageIndex.read(text)
                    break
                }
            case _: break
            }
        }
        if cursor.isBroken { return nil }
    }
}

package struct AckView {
    /// The index that is the ref; nil: it is none.
    package var index: Int?
    package var conversation = UnsafeRawBufferPointer(start: nil, count: 0)
    package var seq: UInt64 = 0

    init?(_ bytes: UnsafeRawBufferPointer) {
        var cursor = WireCursor(bytes)
        while let (field, value) = cursor.next() {
            switch (field, value) {
            case (1, .bytes(let bytes)): index = MessageIndex.read(bytes)
            case (2, .bytes(let bytes)): conversation = bytes
            case (3, .number(let number)): seq = number
            case _: break
            }
        }
        if cursor.isBroken { return nil }
    }
}

package struct ErrorView {
    package var index: Int?
    package var text = ""

    init?(_ bytes: UnsafeRawBufferPointer) {
        var cursor = WireCursor(bytes)
        while let (field, value) = cursor.next() {
            switch (field, value) {
            case (1, .bytes(let bytes)): index = MessageIndex.read(bytes)
            case (2, .bytes(let bytes)): text = String(decoding: bytes, as: UTF8.self)
            case (3, .bytes(let bytes)): text += ": " + String(decoding: bytes, as: UTF8.self)
            case _: break
            }
        }
        if cursor.isBroken { return nil }
    }
}

package struct ReceiptView {
    package var conversation = UnsafeRawBufferPointer(start: nil, count: 0)
    package var user = UnsafeRawBufferPointer(start: nil, count: 0)
    /// 0: not said.
    package var read: UInt64 = 0

    init?(_ bytes: UnsafeRawBufferPointer) {
        var cursor = WireCursor(bytes)
        while let (field, value) = cursor.next() {
            switch (field, value) {
            case (1, .bytes(let bytes)): conversation = bytes
            case (2, .bytes(let bytes)): user = bytes
            case (4, .number(let number)): read = number
            case _: break
            }
        }
        if cursor.isBroken { return nil }
    }
}

package struct TypingView {
    package var conversation = UnsafeRawBufferPointer(start: nil, count: 0)
    package var isActive = false

    init?(_ bytes: UnsafeRawBufferPointer) {
        var cursor = WireCursor(bytes)
        while let (field, value) = cursor.next() {
            switch (field, value) {
            case (1, .bytes(let bytes)): conversation = bytes
            case (3, .number(let number)): isActive = number != 0
            case _: break
            }
        }
        if cursor.isBroken { return nil }
    }
}

/// The number by which a message is told, ten digits at the begin of its text and as its ref.
package enum MessageIndex {
    package static let digits = 10

    package static func read(_ bytes: UnsafeRawBufferPointer) -> Int? {
        guard bytes.count >= digits else { return nil }
        var value = 0
        for place in 0..<digits {
            let digit = bytes[place] &- 0x30
            guard digit <= 9 else { return nil }
            value = value &* 10 &+ Int(digit)
        }
        return value
    }

    package static func text(_ index: Int) -> String {
        let text = String(index)
        return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
    }
}
