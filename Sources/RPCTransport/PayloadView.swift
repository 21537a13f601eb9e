import SwiftProtobuf

/// A view of received bytes that SwiftProtobuf decodes without a copy. Valid only while the bytes are.
struct PayloadView: SwiftProtobufContiguousBytes {
    private let bytes: UnsafeRawBufferPointer

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    init(repeating: UInt8, count: Int) {
        preconditionFailure("a view is never made by SwiftProtobuf")
    }

    init<S: Sequence>(_ sequence: S) where S.Element == UInt8 {
        preconditionFailure("a view is never made by SwiftProtobuf")
    }

    var count: Int { bytes.count }

    func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try body(bytes)
    }

    mutating func withUnsafeMutableBytes<R>(
        _ body: (UnsafeMutableRawBufferPointer) throws -> R
    ) rethrows -> R {
        preconditionFailure("a view is never written to")
    }
}
