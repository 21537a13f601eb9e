/// One piece of the hot path, alone: on one thread, without I/O, without a clock, and the same every time.
package struct Kernel: Sendable {
    /// Does the operation so many times and adds up something of each, so that none can be left out.
    package typealias Operations = (_ count: Int) throws -> Int

    /// What it is called in reports and in `instructions.json`.
    package let name: String
    /// Operations in one run that is counted: some ten million instructions.
    package let operations: Int
    /// Makes what the operations need, and gives them.
    package let prepare: @Sendable () throws -> Operations

    init(_ name: String, operations: Int, _ prepare: @escaping @Sendable () throws -> Operations) {
        self.name = name
        self.operations = operations
        self.prepare = prepare
    }

    /// All of them, along a message's path.
    package static let all =
        webSocketKernels + clientFrameKernels + pickingKernels + rpcKernels + relayKernels + deliveryKernels
}

/// A kernel came to where it can't go on: what it measures has changed its ways, and the kernel must follow.
struct KernelFailure: Error {
    let reason: String

    init(_ reason: String) { self.reason = reason }
}
