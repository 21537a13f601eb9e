import CLibPQ
import Glibc
import NIOConcurrencyHelpers
import Reactor

/// Sends cancel requests. libpq 15 can do that only by blocking, and for as long as a hung server likes; so each has a
/// short-lived thread, and there are few at a time. A caller that gets none closes its connection instead.
final class Canceller: Sendable {
    private let running = NIOLockedValueBox(0)
    private let limit: Int

    init(limit: Int = 4) { self.limit = limit }

    /// Asks the server to cancel what `connection` is doing; false if there are too many requests already. `completion` is
    /// called on the reactor: from then on the request has no effect any more.
    func cancel(_ connection: OpaquePointer, reactor: Reactor, completion: @escaping @Sendable () -> Void) -> Bool {
        let granted = running.withLockedValue { running -> Bool in
            guard running < limit else { return false }
            running += 1
            return true
        }
        guard granted else { return false }
        guard let handle = PQgetCancel(connection) else {
            running.withLockedValue { $0 -= 1 }
            return false
        }
        let job = CancelJob(handle: handle) { [running] in
            running.withLockedValue { $0 -= 1 }
            reactor.execute(completion)
        }
        var thread = pthread_t()
        let argument = Unmanaged.passRetained(job)
        guard pthread_create(&thread, nil, cancelMain, argument.toOpaque()) == 0 else {
            argument.release()
            running.withLockedValue { $0 -= 1 }
            return false
        }
        pthread_detach(thread)
        return true
    }
}

private final class CancelJob {
    let handle: OpaquePointer
    let completion: @Sendable () -> Void

    init(handle: OpaquePointer, completion: @escaping @Sendable () -> Void) {
        self.handle = handle
        self.completion = completion
    }

    deinit { PQfreeCancel(handle) }

    func run() {
        var message = [CChar](repeating: 0, count: 256)
        // Whether it arrived shows by the statement's end, or by the connection's time-out.
        _ = PQcancel(handle, &message, Int32(message.count))
        completion()
    }
}

private func cancelMain(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    Unmanaged<CancelJob>.fromOpaque(argument).takeRetainedValue().run()
    return nil
}
