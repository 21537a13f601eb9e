import CZooKeeper

/// Reading the value that armed a watch for a path.
package enum ZooKeeperReading<Value: Sendable>: Sendable {
    /// The node exists.
    case present(Value, ZooKeeperStat)
    /// It doesn't.
    case missing
}

extension ZooKeeperReading: Equatable where Value: Equatable {}

extension ZooKeeperClient {
    /// Creates a node whose parent exists.
    /// - Returns: Its path, which differs from the one asked for if it is sequential.
    @discardableResult
    package func create(
        _ path: String, data: [UInt8] = [], mode: ZooKeeperCreateMode = .persistent, acl: ZooKeeperACL? = nil
    ) async throws(ZooKeeperError) -> (path: String, stat: ZooKeeperStat) {
        let acl = acl ?? self.configuration.acl
        let reply = try await self.perform("create", path) { handle, context in
            data.withChars { chars, count in
                acl.withVector { vector in
                    zoo_acreate2(handle, path, chars, count, vector, mode.rawValue, pathCallback, context)
                }
            }
        }
        guard case .path(let created, .some(let stat)) = reply else { throw Self.unexpected("create", path) }
        return (created, stat)
    }

    /// Creates a persistent node without data, and its parents, as far as they don't exist.
    package func createAll(_ path: String) async throws(ZooKeeperError) {
        if try await self.exists(path) != nil { return }
        let end = path.lastIndex(of: "/") ?? path.startIndex
        if end > path.startIndex { try await self.createAll(String(path[..<end])) }
        do {
            try await self.create(path)
        } catch  where error.code == .nodeExists {
            return
        }
    }

    /// A node's data.
    package func get(_ path: String) async throws(ZooKeeperError) -> (data: [UInt8], stat: ZooKeeperStat) {
        try await self.get(path, watcher: nil)
    }

    /// Replaces a node's data.
    /// - Parameter version: Only if it is in this version.
    @discardableResult
    package func set(
        _ path: String, data: [UInt8], version: Int32? = nil
    ) async throws(ZooKeeperError) -> ZooKeeperStat {
        let reply = try await self.perform("set", path) { handle, context in
            data.withChars { chars, count in
                zoo_aset(handle, path, chars, count, version ?? -1, statCallback, context)
            }
        }
        guard case .stat(let stat) = reply else { throw Self.unexpected("set", path) }
        return stat
    }

    /// Deletes a node without children.
    /// - Parameter version: Only if it is in this version.
    package func delete(_ path: String, version: Int32? = nil) async throws(ZooKeeperError) {
        _ = try await self.perform("delete", path) { handle, context in
            zoo_adelete(handle, path, version ?? -1, voidCallback, context)
        }
    }

    /// Deletes a node though the task is cancelled.
    func deleteShielded(_ path: String, timeout: Duration) async throws(ZooKeeperError) {
        _ = try await self.perform("delete", path, timeout: timeout, shielded: true) { handle, context in
            zoo_adelete(handle, path, -1, voidCallback, context)
        }
    }

    /// Whether there is such a node.
    package func exists(_ path: String) async throws(ZooKeeperError) -> ZooKeeperStat? {
        try await self.exists(path, watcher: nil)
    }

    /// The names of a node's children, in no order.
    package func children(_ path: String) async throws(ZooKeeperError) -> [String] {
        try await self.children(path, watcher: nil).names
    }

    /// Carries all of it out, or nothing: then the error is that of the first step that failed, with its path.
    @discardableResult
    package func multi(
        _ operations: [ZooKeeperOperation]
    ) async throws(ZooKeeperError) -> [ZooKeeperOperationResult] {
        if operations.isEmpty { return [] }
        let batch = MultiBatch(operations, acl: self.configuration.acl)
        do {
            _ = try await self.perform("multi", operations[0].path, holding: batch) { handle, context in
                zoo_amulti(handle, Int32(batch.count), batch.steps, batch.outcomes, voidCallback, context)
            }
        } catch {
            guard let (path, code) = batch.failure, error.code != .timeout, error.code != .cancelled else {
                throw error
            }
            throw ZooKeeperError(code: code, path: path, attempted: "multi")
        }
        return batch.results
    }

    // MARK: With a watch

    // `watcher` is a number from the `CallbackTable`. The library keeps one watch for each pair of path and number.

    func get(_ path: String, watcher: UInt?) async throws(ZooKeeperError) -> (data: [UInt8], stat: ZooKeeperStat) {
        let reply = try await self.perform("get", path) { handle, context in
            zoo_awget(
                handle, path, watcher == nil ? nil : watcherCallback,
                UnsafeMutableRawPointer(bitPattern: watcher ?? 0), dataCallback, context)
        }
        guard case .data(let data, let stat) = reply else { throw Self.unexpected("get", path) }
        return (data, stat)
    }

    func exists(_ path: String, watcher: UInt?) async throws(ZooKeeperError) -> ZooKeeperStat? {
        do throws(ZooKeeperError) {
            let reply = try await self.perform("exists", path) { handle, context in
                zoo_awexists(
                    handle, path, watcher == nil ? nil : watcherCallback,
                    UnsafeMutableRawPointer(bitPattern: watcher ?? 0), statCallback, context)
            }
            guard case .stat(let stat) = reply else { throw Self.unexpected("exists", path) }
            return stat
        } catch  where error.code == .noNode {
            return nil
        }
    }

    func children(
        _ path: String, watcher: UInt?
    ) async throws(ZooKeeperError) -> (names: [String], stat: ZooKeeperStat) {
        let reply = try await self.perform("children", path) { handle, context in
            zoo_awget_children2(
                handle, path, watcher == nil ? nil : watcherCallback,
                UnsafeMutableRawPointer(bitPattern: watcher ?? 0), childrenCallback, context)
        }
        guard case .children(let names, let stat) = reply else { throw Self.unexpected("children", path) }
        return (names, stat)
    }

    /// Reads the data and arms a watch, also for the node's creation if it is missing.
    func reading(data path: String, watcher: UInt) async throws(ZooKeeperError) -> ZooKeeperReading<[UInt8]> {
        while true {
            do {
                let (data, stat) = try await self.get(path, watcher: watcher)
                return .present(data, stat)
            } catch  where error.code == .noNode {
                if try await self.exists(path, watcher: watcher) == nil { return .missing }
            }
        }
    }

    /// Reads the children's names and arms a watch, also for the node's creation if it is missing.
    func reading(children path: String, watcher: UInt) async throws(ZooKeeperError) -> ZooKeeperReading<[String]> {
        while true {
            do {
                let (names, stat) = try await self.children(path, watcher: watcher)
                return .present(names, stat)
            } catch  where error.code == .noNode {
                if try await self.exists(path, watcher: watcher) == nil { return .missing }
            }
        }
    }

    private static func unexpected(_ attempted: String, _ path: String) -> ZooKeeperError {
        ZooKeeperError(code: .other(ZMARSHALLINGERROR.rawValue), path: path, attempted: attempted)
    }
}

/// `zoo_add_auth` for the scheme `digest`.
func addDigest(_ handle: OpaquePointer, _ certificate: String, _ context: UnsafeRawPointer?) -> Int32 {
    zoo_add_auth(handle, "digest", certificate, Int32(certificate.utf8.count), voidCallback, context)
}

extension [UInt8] {
    func withChars<R>(_ body: (UnsafePointer<CChar>?, Int32) -> R) -> R {
        self.withUnsafeBytes { body($0.baseAddress?.assumingMemoryBound(to: CChar.self), Int32($0.count)) }
    }
}
