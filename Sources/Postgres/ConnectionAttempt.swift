import CLibPQ
import Reactor

/// One attempt to connect over libpq, until the server takes log-ins and the connection is in pipeline mode. Only the
/// reactor's thread touches it.
final class ConnectionAttempt: @unchecked Sendable {
    /// libpq's connection, which is the receiver's to finish, or why there is none.
    typealias Completion = (Result<OpaquePointer, PostgresError>) -> Void

    private let reactor: Reactor
    private let configuration: PostgresConfiguration
    /// Called once; nil: it was, or the attempt was given up.
    private var completion: Completion?
    private var connection: OpaquePointer?
    private var registration: Reactor.Registration?
    private var timer: ReactorTimer?

    init(configuration: PostgresConfiguration, reactor: Reactor, completion: @escaping Completion) {
        self.configuration = configuration
        self.reactor = reactor
        self.completion = completion
    }

    /// - Parameter hostRotation: how often connecting was tried before: with several hosts another is the first to be asked.
    func start(hostRotation: Int) {
        guard let connection = LibPQ.connectStart(configuration, hostRotation: hostRotation) else {
            return fail("libpq is out of memory")
        }
        self.connection = connection
        PQsetNoticeReceiver(connection, ignoreNotice, nil)
        if PQstatus(connection) == CONNECTION_BAD { return fail(LibPQ.errorMessage(connection)) }
        timer = reactor.schedule(after: configuration.connectTimeout) { [weak self] in
            self?.fail("no connection within \(self?.configuration.connectTimeout ?? .zero)")
        }
        watch(for: .write)
    }

    /// Gives up; `completion` isn't called.
    func cancel() {
        completion = nil
        unwatch()
        if let timer { reactor.cancel(timer) }
        timer = nil
        if let connection { PQfinish(connection) }
        connection = nil
    }

    private func poll() {
        guard let connection else { return }
        switch PQconnectPoll(connection) {
        case PGRES_POLLING_READING: watch(for: .read)
        case PGRES_POLLING_WRITING: watch(for: .write)
        case PGRES_POLLING_OK:
            guard PQsetnonblocking(connection, 1) == 0, PQenterPipelineMode(connection) == 1 else {
                return fail(LibPQ.errorMessage(connection))
            }
            self.connection = nil
            complete(.success(connection))
        case _: fail(LibPQ.errorMessage(connection))
        }
    }

    /// libpq may have closed its socket and opened another, even with the same number: registers anew each time.
    private func watch(for interest: Reactor.Interest) {
        unwatch()
        do {
            registration = try reactor.register(PQsocket(connection), for: interest) { [weak self] _ in self?.poll() }
        } catch {
            fail("\(error)")
        }
    }

    private func unwatch() {
        if let registration { reactor.unregister(registration) }
        registration = nil
    }

    private func fail(_ message: String) {
        complete(.failure(PostgresError(.connection, message, attempted: "connect")))
    }

    private func complete(_ result: Result<OpaquePointer, PostgresError>) {
        let completion = completion
        cancel()
        completion?(result)
    }
}

/// Notices would go to stderr.
private func ignoreNotice(_ argument: UnsafeMutableRawPointer?, _ result: OpaquePointer?) {}
