import CZooKeeper
import Foundation
import Logging
import NIOConcurrencyHelpers

/// A handle of the C library, safe to be used while it is being closed.
final class Handle: Sendable {
    /// libzookeeper_mt locks what is behind it; it is freed by `close()` alone.
    private struct Pointer: @unchecked Sendable {
        let raw: OpaquePointer
    }

    private let pointer: NIOLockedValueBox<Pointer?>
    private let id: UInt

    private init(_ pointer: OpaquePointer, id: UInt) {
        self.pointer = NIOLockedValueBox(Pointer(raw: pointer))
        self.id = id
    }

    /// Starts to connect; the rest comes as events, the first possibly before this returns. Blocks while names are
    /// resolved: to be called on a thread of its own.
    /// - Returns: `nil` if the servers' names can't be resolved or the list is malformed.
    static func open(
        servers: String, timeout: Duration, resuming session: ZooKeeperSession?,
        onEvent: @escaping @Sendable (SessionStateMachine.Event) -> Void
    ) -> Handle? {
        let id = CallbackTable.watch { type, state, pointer in
            guard type == ZOO_SESSION_EVENT, let event = Self.event(state, pointer) else { return }
            onEvent(event)
        }
        let context = UnsafeMutableRawPointer(bitPattern: id)
        let milliseconds = Int32(clamping: timeout.milliseconds)
        let flags = ZOO_NO_LOG_CLIENTENV
        let opened: OpaquePointer?
        if let session {
            var identity = clientid_t()
            identity.client_id = session.id
            withUnsafeMutableBytes(of: &identity.passwd) { $0.copyBytes(from: session.password.prefix(16)) }
            opened = zookeeper_init2(
                servers, watcherCallback, milliseconds, &identity, context, Int32(flags), logCallback)
        } else {
            opened = zookeeper_init2(servers, watcherCallback, milliseconds, nil, context, Int32(flags), logCallback)
        }
        guard let opened else {
            CallbackTable.unwatch(id)
            return nil
        }
        return Handle(opened, id: id)
    }

    /// Hands an operation to the library. `completion` is called once: with the answer, the refusal, or the handle's end.
    /// The lock keeps `close()` from freeing the handle meanwhile; `call` only queues.
    func submit(_ completion: @escaping CallbackTable.Completion, _ call: (OpaquePointer, UnsafeRawPointer?) -> Int32) {
        let operation = CallbackTable.add(owner: self.id, completion)
        let code = self.pointer.withLockedValue { pointer in
            guard let pointer else { return ZCLOSING.rawValue }
            return call(pointer.raw, UnsafeRawPointer(bitPattern: operation))
        }
        if code != ZOK.rawValue { CallbackTable.take(operation)?(.failure(ZooKeeperError.Code(code))) }
    }

    /// Ends the session if it is connected, ends the library's threads, and fails what was awaited. Blocks for up to some
    /// three seconds: to be called on a thread of its own, and never on one of the library's.
    func close() {
        let pointer = self.pointer.withLockedValue { pointer in
            defer { pointer = nil }
            return pointer
        }
        CallbackTable.unwatch(self.id)
        if let pointer { zookeeper_close(pointer.raw) }
        for completion in CallbackTable.takeAll(owner: self.id) { completion(.failure(.connectionLoss)) }
    }

    private static func event(_ state: Int32, _ pointer: OpaquePointer?) -> SessionStateMachine.Event? {
        switch state {
        case ZOO_CONNECTED_STATE:
            guard let pointer, let identity = zoo_client_id(pointer) else { return nil }
            let password = withUnsafeBytes(of: identity.pointee.passwd) { Array($0) }
            return .connected(
                ZooKeeperSession(id: identity.pointee.client_id, password: password),
                timeout: .milliseconds(Int(zoo_recv_timeout(pointer))))
        case ZOO_CONNECTING_STATE, ZOO_NOTCONNECTED_STATE: return .disconnected
        case ZOO_EXPIRED_SESSION_STATE: return .expired
        case ZOO_AUTH_FAILED_STATE: return .authFailed
        default: return nil
        }
    }
}

extension Duration {
    var milliseconds: Int64 {
        let (seconds, attoseconds) = self.components
        return seconds * 1000 + attoseconds / 1_000_000_000_000_000
    }
}

/// Runs what blocks on a thread of its own: not the tasks' threads, which are few, and not the library's, which it joins.
func onOwnThread<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { continuation in
        Thread.detachNewThread { continuation.resume(returning: body()) }
    }
}

/// Where the C library's log goes. Its callback has no context, so there is one for the process: the last client's. The
/// library says at each attempt to connect that it failed, while the client tells when the state changes, so what the
/// library calls errors and warnings is logged as `debug`, the rest as `trace`.
enum LibraryLog {
    private static let logger = NIOLockedValueBox<Logger?>(nil)

    static func redirect(to logger: Logger) {
        self.logger.withLockedValue { $0 = logger }
        zoo_set_debug_level(logger.logLevel <= .trace ? ZOO_LOG_LEVEL_INFO : ZOO_LOG_LEVEL_WARN)
    }

    static func write(_ message: String) {
        guard let logger = self.logger.withLockedValue({ $0 }) else { return }
        let isFault = message.contains("ZOO_ERROR") || message.contains("ZOO_WARN")
        logger.log(level: isFault ? .debug : .trace, "libzookeeper", metadata: ["zookeeper.library": "\(message)"])
    }
}

private func logCallback(_ message: UnsafePointer<CChar>?) {
    guard let message else { return }
    LibraryLog.write(String(cString: message))
}
