package import Protocol
import SwiftProtobuf

/// The newest messages of a conversation as they were at one head, whoever looks at them.
package struct CachedPage: Sendable, Equatable {
    /// A page of the default size, and one more: whether there are older ones is then known.
    package static let capacity = 51
    /// Of the encoded form; a page of long texts is read from the log instead.
    private static let bytes = 256 * 1024
    private static let version: UInt8 = 1
    private static let header = 21

    package var conversation: UInt64
    package var head: UInt64
    /// When the event at `head` was sent. Should a database be set back to an earlier time, another event may come to have
    /// the same seq.
    package var activeAt: Int64
    /// Newest first, each with its sender's own id.
    package var messages: [RelayMessage]

    package init(conversation: UInt64, head: UInt64, activeAt: Int64, messages: [RelayMessage]) {
        self.conversation = conversation
        self.head = head
        self.activeAt = activeAt
        self.messages = messages
    }

    /// What a user sees of it: only what is theirs to see, and the client_ids of their own events. nil: it doesn't reach.
    package func page(for user: UInt64, in window: LogWindow, limit: Int) -> RelayHistoryResponse? {
        var response = RelayHistoryResponse()
        let visible = messages.lazy.filter { window.contains($0.event.seq) }
        for message in visible.prefix(limit) {
            var message = message
            if message.event.sender != user { message.event.clientID = "" }
            response.messages.append(message)
        }
        let count = visible.count
        response.more = count > limit
        let reachesEnd = count < messages.count || messages.count < Self.capacity
        return response.more || reachesEnd ? response : nil
    }

    /// As it is kept: version, head, active_at, how many, then a `RelayHistoryResponse`. nil: too large to keep.
    package func encoded() -> [UInt8]? {
        var response = RelayHistoryResponse()
        response.messages = messages
        guard let body: [UInt8] = try? response.serializedBytes(), body.count <= Self.bytes else { return nil }
        var bytes: [UInt8] = [Self.version]
        bytes.reserveCapacity(Self.header + body.count)
        withUnsafeBytes(of: head.littleEndian) { bytes.append(contentsOf: $0) }
        withUnsafeBytes(of: activeAt.littleEndian) { bytes.append(contentsOf: $0) }
        withUnsafeBytes(of: UInt32(messages.count).littleEndian) { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: body)
        return bytes
    }

    /// nil where the bytes are anything but the page at that head.
    package init?(_ bytes: [UInt8], conversation: UInt64, head: UInt64, activeAt: Int64) {
        guard bytes.count >= Self.header, bytes[0] == Self.version else { return nil }
        func integer<I: FixedWidthInteger>(_ type: I.Type, at offset: Int) -> I {
            bytes.withUnsafeBytes { I(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: type)) }
        }
        guard integer(UInt64.self, at: 1) == head, integer(Int64.self, at: 9) == activeAt,
            let response = try? RelayHistoryResponse(serializedBytes: Array(bytes[Self.header...])),
            response.messages.count == Int(integer(UInt32.self, at: 17)), response.messages.count <= Self.capacity
        else { return nil }
        var last = head + 1
        for message in response.messages {
            guard message.event.conversation == conversation, message.event.seq < last else { return nil }
            last = message.event.seq
        }
        self.init(conversation: conversation, head: head, activeAt: activeAt, messages: response.messages)
    }
}
