/// What a path reads, and what it reads again each time that may have changed: after each event of its watch, and after
/// each reconnection and new session. Changes that come faster than they are read become one; the last is never missed.
///
/// Iterating waits as long as ZooKeeper can't be reached. It ends when the task is cancelled or the client closed, and
/// throws what isn't transient (such as `.noAuth`).
package struct ZooKeeperWatch<Value: Sendable & Equatable>: AsyncSequence, Sendable {
    package typealias Element = ZooKeeperReading<Value>

    fileprivate let client: ZooKeeperClient
    fileprivate let read: @Sendable (UInt) async throws(ZooKeeperError) -> ZooKeeperReading<Value>

    package func makeAsyncIterator() -> Iterator {
        Iterator(self)
    }

    package struct Iterator: AsyncIteratorProtocol {
        private let watch: ZooKeeperWatch
        private let cursor: WatchCursor
        private var last: ZooKeeperReading<Value>?

        fileprivate init(_ watch: ZooKeeperWatch) {
            self.watch = watch
            self.cursor = WatchCursor(watch.client)
        }

        package mutating func next() async throws(ZooKeeperError) -> ZooKeeperReading<Value>? {
            try await self.next(isolation: #isolation)
        }

        package mutating func next(
            isolation: isolated (any Actor)?
        ) async throws(ZooKeeperError) -> ZooKeeperReading<Value>? {
            while true {
                await self.cursor.signal.wait()
                if Task.isCancelled { return nil }
                switch self.watch.client.state {
                case .connecting, .suspended, .expired: continue  // the next state sets the signal
                case .closed: return nil
                case .connected: break
                }
                do {
                    let reading = try await self.watch.read(self.cursor.watcher)
                    if let last = self.last, last == reading { continue }
                    self.last = reading
                    return reading
                } catch  where error.isTransient {
                    await self.cursor.retry()
                } catch  where error.code == .cancelled || error.code == .closed {
                    return nil
                }
            }
        }
    }
}

/// An iteration's place in the table of watchers and among the client's observers; given up with it.
private final class WatchCursor: Sendable {
    let signal = Signal()
    let watcher: UInt
    private let client: ZooKeeperClient
    private let observer: Int

    init(_ client: ZooKeeperClient) {
        let signal = self.signal
        signal.set()  // the first reading
        self.client = client
        self.watcher = CallbackTable.watch { [signal] type, _, _ in
            if isNodeEvent(type) { signal.set() }
        }
        self.observer = client.observe(signal)
    }

    deinit {
        CallbackTable.unwatch(self.watcher)
        self.client.ignore(self.observer)
    }

    /// Makes the iteration read again after a moment, unless something makes it do so earlier.
    func retry() async {
        try? await Task.sleep(for: .milliseconds(50))
        self.signal.set()
    }
}

extension ZooKeeperClient {
    /// The names of a node's children, in their order, from now on.
    package func watch(children path: String) -> ZooKeeperWatch<[String]> {
        ZooKeeperWatch(client: self) { [self] watcher async throws(ZooKeeperError) in
            switch try await self.reading(children: path, watcher: watcher) {
            case .present(let names, let stat): .present(names.sorted(), stat)
            case .missing: .missing
            }
        }
    }

    /// A node's data from now on.
    package func watch(data path: String) -> ZooKeeperWatch<[UInt8]> {
        ZooKeeperWatch(client: self) { [self] watcher async throws(ZooKeeperError) in
            try await self.reading(data: path, watcher: watcher)
        }
    }
}
