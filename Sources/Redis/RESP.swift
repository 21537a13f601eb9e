import CHiredis

/// The protocol's two directions (https://redis.io/docs/latest/develop/reference/protocol-spec, RESP2).
enum RESP {
    /// Appends a command in the form that the server reads: an array of bulk strings.
    static func append(_ command: [RedisArgument], to buffer: inout [UInt8]) {
        self.appendHeader(0x2a, command.count, to: &buffer)
        for argument in command {
            self.appendHeader(0x24, argument.bytes.count, to: &buffer)
            buffer.append(contentsOf: argument.bytes)
            buffer.append(13)
            buffer.append(10)
        }
    }

    private static func appendHeader(_ kind: UInt8, _ count: Int, to buffer: inout [UInt8]) {
        buffer.append(kind)
        buffer.append(contentsOf: String(count).utf8)
        buffer.append(13)
        buffer.append(10)
    }

    /// Reads replies out of a byte stream, however it is cut; hiredis' parser. Not to be used after it threw.
    final class Parser {
        /// The stream isn't what Redis speaks.
        struct Violation: Error {
            var message: String
        }

        private let reader: UnsafeMutablePointer<redisReader>

        init() {
            self.reader = redisReaderCreate()!  // nil when memory is exhausted
        }

        deinit {
            redisReaderFree(self.reader)
        }

        func feed(_ bytes: UnsafeRawBufferPointer) throws(Violation) {
            guard let base = bytes.baseAddress else { return }
            if redisReaderFeed(self.reader, base.assumingMemoryBound(to: CChar.self), bytes.count) != REDIS_OK {
                throw self.violation
            }
        }

        /// The next complete reply, if there is one.
        func next() throws(Violation) -> RedisValue? {
            var pointer: UnsafeMutableRawPointer?
            guard redisReaderGetReply(self.reader, &pointer) == REDIS_OK else { throw self.violation }
            guard let pointer else { return nil }
            defer { freeReplyObject(pointer) }
            return RedisValue(pointer.assumingMemoryBound(to: redisReply.self).pointee)
        }

        private var violation: Violation {
            let message = withUnsafeBytes(of: &self.reader.pointee.errstr) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            return Violation(message: message)
        }
    }
}

extension RedisValue {
    /// Copies a reply out of hiredis' memory.
    fileprivate init(_ reply: redisReply) {
        switch reply.type {
        case REDIS_REPLY_INTEGER:
            self = .integer(reply.integer)
        case REDIS_REPLY_ARRAY:
            self = .array(
                (0..<Int(reply.elements)).map { index in
                    reply.element[index].map { RedisValue($0.pointee) } ?? .null
                })
        case REDIS_REPLY_ERROR:
            let message = String(decoding: UnsafeRawBufferPointer(start: reply.str, count: reply.len), as: UTF8.self)
            self = .error(prefix: String(message.prefix { $0 != " " }), message: message)
        case REDIS_REPLY_STRING, REDIS_REPLY_STATUS:
            self = .bytes(Array(UnsafeRawBufferPointer(start: reply.str, count: reply.len)))
        default:
            self = .null
        }
    }
}
