import CZooKeeper
import NIOConcurrencyHelpers

/// What the C library answers, copied out of its memory.
enum Reply: Sendable {
    case none
    case path(String, ZooKeeperStat?)
    case stat(ZooKeeperStat)
    case data([UInt8], ZooKeeperStat)
    case children([String], ZooKeeperStat)
    case failure(ZooKeeperError.Code)
}

/// Who is called back. The C library gets a number instead of a pointer, so that a call that comes late, twice or never
/// costs nothing: a number that isn't in the table any more is ignored.
enum CallbackTable {
    /// An operation's end.
    typealias Completion = @Sendable (Reply) -> Void
    /// A watch's or a handle's event: its type, the session's state, and the handle that it is about.
    typealias Watcher = @Sendable (_ type: Int32, _ state: Int32, _ handle: OpaquePointer?) -> Void

    private struct Table {
        var last: UInt = 0
        var completions: [UInt: (owner: UInt, completion: Completion)] = [:]
        var watchers: [UInt: Watcher] = [:]
    }

    private static let table = NIOLockedValueBox(Table())

    /// Takes a completion of the handle `owner` in; it is called once or dropped.
    static func add(owner: UInt, _ completion: @escaping Completion) -> UInt {
        self.table.withLockedValue { table in
            table.last += 1
            table.completions[table.last] = (owner, completion)
            return table.last
        }
    }

    static func take(_ id: UInt) -> Completion? {
        self.table.withLockedValue { $0.completions.removeValue(forKey: id)?.completion }
    }

    /// Takes out all that a handle still owes.
    static func takeAll(owner: UInt) -> [Completion] {
        self.table.withLockedValue { table in
            let owed = table.completions.filter { $0.value.owner == owner }
            for id in owed.keys { table.completions[id] = nil }
            return owed.values.map(\.completion)
        }
    }

    /// Takes a watcher in; it may be called any number of times until it is removed.
    static func watch(_ watcher: @escaping Watcher) -> UInt {
        self.table.withLockedValue { table in
            table.last += 1
            table.watchers[table.last] = watcher
            return table.last
        }
    }

    static func watcher(_ id: UInt) -> Watcher? {
        self.table.withLockedValue { $0.watchers[id] }
    }

    static func unwatch(_ id: UInt) {
        self.table.withLockedValue { $0.watchers[id] = nil }
    }
}

// What the C library calls, on its own threads. File-scope functions: a closure's isolation would be inferred from where it
// is written and checked on a thread that can't satisfy it. They don't block: the library calls them one by one.

func watcherCallback(
    _ handle: OpaquePointer?, _ type: Int32, _ state: Int32, _ path: UnsafePointer<CChar>?,
    _ context: UnsafeMutableRawPointer?
) {
    CallbackTable.watcher(UInt(bitPattern: context))?(type, state, handle)
}

func voidCallback(_ code: Int32, _ context: UnsafeRawPointer?) {
    finish(context, code) { Reply.none }
}

func statCallback(_ code: Int32, _ stat: UnsafePointer<Stat>?, _ context: UnsafeRawPointer?) {
    finish(context, code) { stat.map { .stat(ZooKeeperStat($0.pointee)) } }
}

func dataCallback(
    _ code: Int32, _ value: UnsafePointer<CChar>?, _ length: Int32, _ stat: UnsafePointer<Stat>?,
    _ context: UnsafeRawPointer?
) {
    finish(context, code) {
        stat.map { .data(bytes(value, length), ZooKeeperStat($0.pointee)) }
    }
}

func pathCallback(
    _ code: Int32, _ path: UnsafePointer<CChar>?, _ stat: UnsafePointer<Stat>?, _ context: UnsafeRawPointer?
) {
    finish(context, code) {
        path.map { .path(String(cString: $0), stat.map { ZooKeeperStat($0.pointee) }) }
    }
}

func childrenCallback(
    _ code: Int32, _ names: UnsafePointer<String_vector>?, _ stat: UnsafePointer<Stat>?, _ context: UnsafeRawPointer?
) {
    finish(context, code) {
        guard let names, let stat else { return nil }
        let children = (0..<Int(names.pointee.count)).compactMap { index in
            names.pointee.data[index].map { String(cString: $0) }
        }
        return .children(children, ZooKeeperStat(stat.pointee))
    }
}

private func finish(_ context: UnsafeRawPointer?, _ code: Int32, _ reply: () -> Reply?) {
    guard let completion = CallbackTable.take(UInt(bitPattern: context)) else { return }
    guard code == ZOK.rawValue else {
        completion(.failure(ZooKeeperError.Code(code)))
        return
    }
    completion(reply() ?? .failure(.other(ZMARSHALLINGERROR.rawValue)))
}

private func bytes(_ value: UnsafePointer<CChar>?, _ length: Int32) -> [UInt8] {
    guard let value, length > 0 else { return [] }  // a node without data has length -1
    return Array(UnsafeRawBufferPointer(start: value, count: Int(length)))
}

extension ZooKeeperStat {
    init(_ stat: Stat) {
        self.init(
            czxid: stat.czxid, mzxid: stat.mzxid, pzxid: stat.pzxid, createdAt: stat.ctime, modifiedAt: stat.mtime,
            version: stat.version, childrenVersion: stat.cversion, aclVersion: stat.aversion,
            ephemeralOwner: stat.ephemeralOwner, dataLength: stat.dataLength, childrenCount: stat.numChildren)
    }
}

extension ZooKeeperError.Code {
    init(_ code: Int32) {
        switch ZOO_ERRORS(rawValue: code) {
        case ZNONODE: self = .noNode
        case ZNODEEXISTS: self = .nodeExists
        case ZBADVERSION: self = .badVersion
        case ZNOTEMPTY: self = .notEmpty
        case ZNOCHILDRENFOREPHEMERALS: self = .noChildrenForEphemerals
        case ZNOAUTH: self = .noAuth
        case ZAUTHFAILED: self = .authFailed
        case ZINVALIDACL: self = .invalidACL
        case ZBADARGUMENTS: self = .badArguments
        case ZCONNECTIONLOSS, ZSESSIONMOVED: self = .connectionLoss
        case ZOPERATIONTIMEOUT: self = .timeout
        case ZSESSIONEXPIRED, ZINVALIDSTATE: self = .sessionExpired
        case ZCLOSING: self = .connectionLoss  // the handle was replaced while the answer was awaited
        default: self = .other(code)
        }
    }
}

/// Whether a watcher's event is about its node; the library tells each watcher of the session's events, too.
func isNodeEvent(_ type: Int32) -> Bool {
    type != ZOO_SESSION_EVENT
}
