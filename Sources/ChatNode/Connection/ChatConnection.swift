import ChatModel
import NIOCore
import Protocol
import RPC
import RPCTransport
import SwiftProtobuf
import WebSocketEdge

/// One client: what it sends is carried out, what it is to be given is written. Confined to its loop.
///
/// Frames are handled in `ChatConnection+Frames.swift`, the log in `ChatConnection+Delivery.swift`.
final class ChatConnection: EdgeSession {
    /// Exits: `fresh` by a hello to `joining`; that to `joined` when relays know the connection; any to `gone`.
    enum Phase: UInt8 {
        case fresh, joining, joined, gone
    }

    unowned let shard: NodeShard
    let edge: EdgeConnection
    let handle: UInt32
    let user: UserID
    let device: DeviceID
    /// Unix milliseconds.
    let since: Int64

    var phase = Phase.fresh
    /// Malformed frames since `malformedSince`, in seconds.
    var malformedCount: UInt8 = 0
    var typingCount: UInt8 = 0
    var malformedSince: UInt32 = 0
    var typingSince: UInt32 = 0
    var limiter = RateLimiter()
    var refusals = RefusalCount()
    /// Whether it is one of those that its user may have.
    var isCounted = false
    var delivery = DeliveryStateMachine<EncodedEvent>(holdLimit: 64)
    /// The reading of the log that is under way.
    var reading: Reading?
    var lanes: SendLanes?
    var watched: Set<UserID>?

    /// A `Relay.Sync` under way.
    struct Reading {
        /// Which one it is: what comes late of an earlier one is told by it.
        var number: UInt64
        var control: RPCStreamControl?
        var isFirstPage = true
        /// Pages that may come as soon as the peer is no longer slow.
        var creditOwed: UInt32 = 0
    }

    init(shard: NodeShard, edge: EdgeConnection, handle: UInt32, user: UserID, device: DeviceID, since: Int64) {
        self.shard = shard
        self.edge = edge
        self.handle = handle
        self.user = user
        self.device = device
        self.since = since
    }

    /// What the session is called in `welcome` and by the directory.
    var sessionID: String { "\(shard.node.nodeID).\(String(shard.node.incarnation, radix: 16)).\(handle)" }

    // MARK: Writing

    func send(_ frame: ClientServerFrame.OneOf_Frame) {
        edge.write(shard.encoder.encode(frame, edge.subprotocol))
    }

    /// `isOwnState`: what the user did on another device.
    func send(_ signal: inout EncodedSignal, isOwnState: Bool = false) {
        // A signal of others that is late is worth nothing: a slow peer goes without.
        guard phase == .joined, isOwnState || edge.isWritable else { return }
        edge.write(signal.bytes(edge.subprotocol, &shard.encoder))
    }

    func refuse(_ code: String, _ message: String, ref: String = "", retryAfter: Int64 = 0) {
        var error = ClientError()
        error.ref = ref
        error.code = code
        error.message = message
        error.retryAfterMs = UInt32(clamping: retryAfter)
        send(.error(error))
    }

    // MARK: Edge

    func received(_ message: UnsafeRawBufferPointer) {
        let decoded: Result<ClientClientFrame, ClientFrameError> = decode(message)
        let units: Int64 =
            switch decoded {
            case .success(let frame): frame.isLight ? 1 : 10
            case .failure: 10
            }
        guard admit(units: units, bytes: message.count, ref: (try? decoded.get())?.ref ?? "") else { return }
        switch decoded {
        case .success(let frame): handle(frame)
        case .failure(let error): malformed(error)
        }
    }

    func receivedControl() { _ = admit(units: 1, bytes: 8, ref: "") }

    func writabilityChanged(_ isWritable: Bool) {
        guard phase != .gone else { return }
        if isWritable, let owed = reading?.creditOwed, owed > 0 {
            reading?.creditOwed = 0
            reading?.control?.grant(owed)
        }
        carryOut(delivery.writabilityChanged(isWritable))
    }

    func closed() {
        guard phase != .gone else { return }
        let wasKnown = phase != .fresh
        phase = .gone
        reading?.control?.cancel()
        reading = nil
        if let watched { shard.presence.unwatch(watched, by: handle) }
        shard.remove(self, wasKnown: wasKnown)
    }

    // MARK: Admission

    private func decode(_ message: UnsafeRawBufferPointer) -> Result<ClientClientFrame, ClientFrameError> {
        do throws(ClientFrameError) {
            switch edge.subprotocol {
            case .json: return .success(try ClientJSON.decodeClientFrame(message))
            case .protobuf:
                guard let frame = try? ClientClientFrame(serializedBytes: MessageBytes(message: message)),
                    frame.frame != nil
                else {
                    throw ClientFrameError(.malformed, "not a valid frame")
                }
                return .success(frame)
            }
        } catch {
            return .failure(error)
        }
    }

    private func admit(units: Int64, bytes: Int, ref: String) -> Bool {
        guard let limits = shard.node.configuration.limits, let users = shard.node.users else { return true }
        let now = shard.microseconds
        var wait = limiter.take(units: units, bytes: bytes, now: now, limits.connection)
        if wait == nil {
            wait = users.take(user, units: units, bytes: bytes, now: now)
            if wait != nil { limiter.giveBack(units: units, bytes: bytes, limits.connection) }
        }
        guard let wait else { return true }
        shard.metrics.limited += 1
        // Only the connection that goes on is closed for it: another device of the user may be in its right.
        guard !refusals.isFlooding(now: now, limit: limits.refusals) else {
            shard.metrics.expelled += 1
            edge.close(.flooding, "too many frames")
            return false
        }
        if edge.isWritable { refuse("rate_limited", "too many frames", ref: ref, retryAfter: wait) }
        return false
    }

    /// The third malformed frame in a minute ends the connection.
    func malformed(_ error: ClientFrameError) {
        shard.metrics.malformed += 1
        let second = UInt32(truncatingIfNeeded: shard.microseconds / 1_000_000)
        if malformedCount == 0 || second &- malformedSince >= 60 {
            malformedSince = second
            malformedCount = 0
        }
        malformedCount += 1
        send(.error(ClientError(error)))
        if malformedCount >= 3 {
            shard.metrics.expelled += 1
            edge.close(.malformed, "malformed frames")
        }
    }
}

/// A message's bytes, to decode them where they are.
private struct MessageBytes: SwiftProtobufContiguousBytes {
    var message: UnsafeRawBufferPointer

    var count: Int { message.count }

    init(message: UnsafeRawBufferPointer) { self.message = message }
    // The protocol wants these for encoding, which this is not for.
    init(repeating: UInt8, count: Int) { preconditionFailure("only for decoding") }
    init<S: Sequence>(_ sequence: S) where S.Element == UInt8 { preconditionFailure("only for decoding") }

    func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R { try body(message) }

    mutating func withUnsafeMutableBytes<R>(_ body: (UnsafeMutableRawBufferPointer) throws -> R) rethrows -> R {
        preconditionFailure("only for decoding")
    }
}

extension ClientClientFrame {
    /// Whether nothing is done for it elsewhere, or only gathered.
    fileprivate var isLight: Bool {
        switch frame {
        case .read, .received, .typing, .ping: true
        case .hello, .send, .edit, .delete, .react, .watch, .unwatch, nil: false
        }
    }
}
