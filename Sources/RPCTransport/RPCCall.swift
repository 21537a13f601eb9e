import NIOConcurrencyHelpers
import NIOCore
package import RPC
import SwiftProtobuf

/// Gets another connection for a call whose own was lost.
protocol RPCRouter: AnyObject, Sendable {
    /// Takes charge of the call again; false: it won't.
    func retry(_ call: RPCCall, after error: RPCError) -> Bool
}

/// A call on its way, from the caller's side. Held by one table at a time; whoever takes it out of that finishes it.
package class RPCCall: RPCPendingCall, @unchecked Sendable {
    let method: RPCMethodDescriptor
    /// The request, encoded once for all attempts.
    let request: [UInt8]
    let options: CallOptions
    /// `NIODeadline` nanoseconds; `UInt64.max`: none.
    let deadline: UInt64
    /// Where it can be cancelled; `nil`: it can't be.
    let cancellation: RPCCancellation?
    let loop: (any EventLoop)?

    // Only whoever holds the call changes these.
    /// Routes it again when its connection is lost.
    var router: (any RPCRouter)?
    /// The only peer that may serve it.
    var peer: String?
    var attempts = 0
    /// While it waits for a connection: until when.
    var waitUntil: UInt64 = 0

    init<Request: Message>(
        _ method: RPCMethodDescriptor, _ request: Request, options: CallOptions, cancellation: RPCCancellation?,
        loop: (any EventLoop)?
    ) {
        self.method = method
        self.options = options
        self.cancellation = cancellation
        self.loop = loop
        // Only proto2's required fields, and 2 GiB, can make this fail; an empty request then fails on the server.
        self.request = (try? request.serializedBytes()) ?? []
        if let timeout = options.timeout {
            deadline = NIODeadline.now().uptimeNanoseconds + timeout.wholeNanoseconds
        } else {
            deadline = .max
        }
    }

    /// What is left until the deadline, as the wire has it: whole milliseconds, rounded up; 0: no bound.
    func timeoutMilliseconds(now: UInt64) -> UInt32 {
        guard deadline != .max else { return 0 }
        return UInt32(clamping: max(1, (deadline - min(now, deadline) + 999_999) / 1_000_000))
    }

    /// Fails it from within the caller's own call of `start`: never before that has returned.
    final func refuse(_ error: RPCError) {
        if let loop {
            loop.execute { self.fail(error) }
        } else {
            fail(error)
        }
    }

    package final func connectionLost(_ error: RPCError, processed: Bool) {
        let repeatable = options.retries ?? (!processed || (method.idempotent && !hasAnswered))
        if repeatable, let router, router.retry(self, after: error) { return }
        fail(error)
    }

    /// Whether something has come back that a repetition would repeat.
    var hasAnswered: Bool { false }

    package func finish(response: UnsafeRawBufferPointer) {}
    package func receive(message: UnsafeRawBufferPointer) {}
    package func finishStream() {}
    package func fail(_ error: RPCError) {}

    /// Runs `body` on the caller's loop, at once if it is this one.
    @inline(__always)
    final func onLoop(_ body: @escaping @Sendable () -> Void) {
        if let loop, !loop.inEventLoop {
            loop.execute(body)
        } else {
            body()
        }
    }

    static func undecodable(_ method: RPCMethodDescriptor, _ error: any Error) -> RPCError {
        RPCError(.internalError, "answer to \(method.name) could not be decoded: \(error)")
    }
}

/// A call with one answer.
final class RPCUnaryCall<Request: Message & Sendable, Response: Message & Sendable>: RPCCall, @unchecked Sendable {
    private let completion: @Sendable (Result<Response, RPCError>) -> Void

    init(
        _ method: RPCMethod<Request, Response>, _ request: Request, options: CallOptions,
        cancellation: RPCCancellation?, loop: (any EventLoop)?,
        completion: @escaping @Sendable (Result<Response, RPCError>) -> Void
    ) {
        self.completion = completion
        super.init(method.descriptor, request, options: options, cancellation: cancellation, loop: loop)
    }

    override func finish(response: UnsafeRawBufferPointer) {
        do {
            complete(.success(try Response(serializedBytes: PayloadView(response))))
        } catch {
            complete(.failure(RPCCall.undecodable(method, error)))
        }
    }

    override func fail(_ error: RPCError) {
        complete(.failure(error))
    }

    private func complete(_ result: Result<Response, RPCError>) {
        cancellation?.leave()
        let completion = completion
        if let loop, !loop.inEventLoop {
            loop.execute { completion(result) }
        } else {
            completion(result)
        }
    }
}

/// A call whose answer is a stream.
final class RPCStreamCall<Request: Message & Sendable, Response: Message & Sendable>: RPCCall, @unchecked Sendable {
    private let onMessage: @Sendable (Response) -> Void
    private let onEnd: @Sendable (RPCError?) -> Void
    private var received = false

    init(
        _ method: RPCMethod<Request, Response>, _ request: Request, options: CallOptions,
        cancellation: RPCCancellation, loop: (any EventLoop)?, onMessage: @escaping @Sendable (Response) -> Void,
        onEnd: @escaping @Sendable (RPCError?) -> Void
    ) {
        self.onMessage = onMessage
        self.onEnd = onEnd
        super.init(method.descriptor, request, options: options, cancellation: cancellation, loop: loop)
    }

    override var hasAnswered: Bool { received }

    override func receive(message: UnsafeRawBufferPointer) {
        received = true
        do {
            let response = try Response(serializedBytes: PayloadView(message))
            let onMessage = onMessage
            onLoop { onMessage(response) }
        } catch {
            cancellation?.cancel(with: RPCCall.undecodable(method, error))
        }
    }

    override func finishStream() {
        cancellation?.leave()
        let onEnd = onEnd
        onLoop { onEnd(nil) }
    }

    override func fail(_ error: RPCError) {
        cancellation?.leave()
        let onEnd = onEnd
        onLoop { onEnd(error) }
    }
}
