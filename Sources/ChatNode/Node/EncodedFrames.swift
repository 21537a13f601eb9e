import ChatModel
import NIOCore
import Protocol
import SwiftProtobuf
import WebSocketEdge

/// Turns frames into bytes; keeps the memory it needs for that.
struct FrameEncoder {
    private var scratch: [UInt8] = []

    /// The memory for the next text, of which nobody else must hold a part.
    private mutating func takeScratch() -> [UInt8] {
        var taken: [UInt8] = []
        swap(&taken, &scratch)
        return taken
    }

    /// An event's frame.
    mutating func encode(_ event: LogEvent, withClientID: Bool, _ subprotocol: Subprotocol) -> ByteBuffer {
        guard MessageEventFrame.isFor(event) else {
            return encode(.event(ClientEvent(event, withClientID: withClientID)), subprotocol)
        }
        switch subprotocol {
        case .json:
            scratch = MessageEventFrame.json(event, withClientID: withClientID, reusing: takeScratch())
            return ServerFrames.frame(.text, scratch)
        case .protobuf:
            return ServerFrames.frame(.binary, MessageEventFrame.protobuf(event, withClientID: withClientID))
        }
    }

    mutating func encode(_ frame: ClientServerFrame.OneOf_Frame, _ subprotocol: Subprotocol) -> ByteBuffer {
        var message = ClientServerFrame()
        message.frame = frame
        switch subprotocol {
        case .json:
            scratch = ClientJSON.encode(message, reusing: takeScratch())
            return ServerFrames.frame(.text, scratch)
        case .protobuf:
            // Ours has no required fields, so this can't fail.
            let bytes: [UInt8] = (try? message.serializedBytes()) ?? []
            return ServerFrames.frame(.binary, bytes)
        }
    }
}

/// An event with its encoded forms, made when the first receiver needs them and shared by all.
final class EncodedEvent {
    let event: LogEvent
    private var json: ByteBuffer?
    private var protobuf: ByteBuffer?
    private var ownJSON: ByteBuffer?
    private var ownProtobuf: ByteBuffer?

    init(_ event: LogEvent) { self.event = event }

    /// `isOwn`: for a device of the sender.
    func frame(_ subprotocol: Subprotocol, isOwn: Bool, _ encoder: inout FrameEncoder) -> ByteBuffer {
        let isOwn = isOwn && !event.clientID.isEmpty
        let known =
            switch (subprotocol, isOwn) {
            case (.json, false): json
            case (.json, true): ownJSON
            case (.protobuf, false): protobuf
            case (.protobuf, true): ownProtobuf
            }
        if let known { return known }
        let frame = encoder.encode(event, withClientID: isOwn, subprotocol)
        switch (subprotocol, isOwn) {
        case (.json, false): json = frame
        case (.json, true): ownJSON = frame
        case (.protobuf, false): protobuf = frame
        case (.protobuf, true): ownProtobuf = frame
        }
        return frame
    }
}

extension LogEvent {
    /// Whether the user is no longer in the conversation after it.
    func isLast(for user: UserID) -> Bool {
        switch kind {
        case .member:
            guard member.user == user.rawValue else { return false }
            switch member.change {
            case .left, .removed, .banned: return true
            case .joined, .role, .unspecified, .UNRECOGNIZED: return false
            }
        case .group: return group.deleted
        case .message, .edit, .delete, .reaction, .unspecified, .UNRECOGNIZED: return false
        }
    }
}

/// A signal with its encoded forms.
struct EncodedSignal {
    let frame: ClientServerFrame.OneOf_Frame
    private var json: ByteBuffer?
    private var protobuf: ByteBuffer?

    init(_ frame: ClientServerFrame.OneOf_Frame) { self.frame = frame }

    mutating func bytes(_ subprotocol: Subprotocol, _ encoder: inout FrameEncoder) -> ByteBuffer {
        switch subprotocol {
        case .json:
            if let json { return json }
            json = encoder.encode(frame, .json)
            return json!
        case .protobuf:
            if let protobuf { return protobuf }
            protobuf = encoder.encode(frame, .protobuf)
            return protobuf!
        }
    }
}
