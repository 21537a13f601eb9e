import CZooKeeper
import Glibc

/// The memory of a `multi`: its steps in the C library's form, and where it writes the results. Freed with the last
/// reference, of which the operation's completion holds one.
final class MultiBatch: @unchecked Sendable {
    // Written here before the operation is submitted, then by the library, then read here after its completion.
    let operations: [ZooKeeperOperation]
    let steps: UnsafeMutablePointer<zoo_op_t>
    let outcomes: UnsafeMutablePointer<zoo_op_result_t>
    private let stats: UnsafeMutablePointer<Stat>
    private var allocations: [UnsafeMutableRawPointer] = []
    private var vectors: [CVector] = []

    var count: Int { self.operations.count }

    init(_ operations: [ZooKeeperOperation], acl: ZooKeeperACL) {
        self.operations = operations
        self.steps = .allocate(capacity: operations.count)
        self.steps.initialize(repeating: zoo_op_t(), count: operations.count)
        self.outcomes = .allocate(capacity: operations.count)
        self.outcomes.initialize(repeating: zoo_op_result_t(), count: operations.count)
        self.stats = .allocate(capacity: operations.count)
        self.stats.initialize(repeating: Stat(), count: operations.count)
        for (index, operation) in operations.enumerated() {
            let step = self.steps + index
            let path = self.copy(Array(operation.path.utf8) + [0])
            switch operation {
            case .create(let name, let data, let mode, let own):
                let vector = CVector(own ?? acl)
                self.vectors.append(vector)
                let room = name.utf8.count + 16  // a sequential one gets ten digits more
                let created = self.copy([UInt8](repeating: 0, count: room))
                zoo_create_op_init(
                    step, path, self.copy(data), Int32(data.count), vector.pointer, mode.rawValue, created, Int32(room))
            case .set(_, let data, let version):
                zoo_set_op_init(step, path, self.copy(data), Int32(data.count), version ?? -1, self.stats + index)
            case .delete(_, let version):
                zoo_delete_op_init(step, path, version ?? -1)
            case .check(_, let version):
                zoo_check_op_init(step, path, version ?? -1)
            }
        }
    }

    deinit {
        for allocation in self.allocations { free(allocation) }
        self.steps.deallocate()
        self.outcomes.deallocate()
        self.stats.deallocate()
    }

    /// The step that failed, and why; those beside it say only that they weren't carried out.
    var failure: (path: String, code: ZooKeeperError.Code)? {
        for (index, operation) in self.operations.enumerated() {
            let code = self.outcomes[index].err
            if code != ZOK.rawValue && code != ZRUNTIMEINCONSISTENCY.rawValue {
                return (operation.path, ZooKeeperError.Code(code))
            }
        }
        return nil
    }

    var results: [ZooKeeperOperationResult] {
        self.operations.enumerated().map { index, operation in
            switch operation {
            case .create(let path, _, _, _):
                .created(self.outcomes[index].value.map { String(cString: $0) } ?? path)
            case .set: .set(ZooKeeperStat(self.stats[index]))
            case .delete: .deleted
            case .check: .checked
            }
        }
    }

    private func copy(_ bytes: [UInt8]) -> UnsafeMutablePointer<CChar> {
        let room = malloc(max(bytes.count, 1))!
        bytes.withUnsafeBytes { if let base = $0.baseAddress { room.copyMemory(from: base, byteCount: $0.count) } }
        self.allocations.append(room)
        return room.assumingMemoryBound(to: CChar.self)
    }
}

/// An access list in the C library's form.
final class CVector {
    let pointer: UnsafeMutablePointer<ACL_vector>
    private let count: Int

    init(_ acl: ZooKeeperACL) {
        self.count = acl.entries.count
        let entries = UnsafeMutablePointer<ACL>.allocate(capacity: max(acl.entries.count, 1))
        for (index, entry) in acl.entries.enumerated() {
            let id = Id(scheme: strdup(entry.scheme), id: strdup(entry.id))
            (entries + index).initialize(to: ACL(perms: entry.permissions.rawValue, id: id))
        }
        self.pointer = .allocate(capacity: 1)
        self.pointer.initialize(to: ACL_vector(count: Int32(acl.entries.count), data: entries))
    }

    deinit {
        if let entries = self.pointer.pointee.data {
            for index in 0..<self.count {
                free(entries[index].id.scheme)
                free(entries[index].id.id)
            }
            entries.deallocate()
        }
        self.pointer.deallocate()
    }
}

extension ZooKeeperACL {
    func withVector<R>(_ body: (UnsafePointer<ACL_vector>) -> R) -> R {
        let vector = CVector(self)
        return withExtendedLifetime(vector) { body(vector.pointer) }
    }
}
