import Protocol
import SwiftProtobuf

// Frames between clients and chat nodes, in both subprotocols.

let clientFrameKernels = [
    Kernel("json-send-decode", operations: 3_000) {
        let frames = Samples.sends.map { ClientJSON.encode($0) }
        return { count in
            var sum = 0
            for number in 0..<count {
                sum &+= try frames[number % Samples.count].withUnsafeBytes { bytes in
                    try ClientJSON.decodeClientFrame(bytes).send.body.text.utf8.count
                }
            }
            return sum
        }
    },
    Kernel("json-send-encode", operations: 4_000) {
        let frames = Samples.sends
        var storage: [UInt8] = []
        return { count in
            var sum = 0
            for number in 0..<count {
                storage = ClientJSON.encode(frames[number % Samples.count], reusing: storage)
                sum &+= storage.count
            }
            return sum
        }
    },
    Kernel("json-event-encode", operations: 4_000) { encodeJSON(Samples.eventFrames) },
    Kernel("json-event-decode", operations: 3_000) {
        let frames = Samples.eventFrames.map { ClientJSON.encode($0) }
        return { count in
            var sum = 0
            for number in 0..<count {
                sum &+= try frames[number % Samples.count].withUnsafeBytes { bytes in
                    try ClientJSON.decodeServerFrame(bytes).event.body.text.utf8.count
                }
            }
            return sum
        }
    },
    Kernel("json-ack-encode", operations: 8_000) { encodeJSON(Samples.ackFrames) },
    Kernel("protobuf-send-decode", operations: 5_000) {
        let frames = try Samples.sends.map { try $0.serializedBytes() as [UInt8] }
        return { count in
            var sum = 0
            for number in 0..<count {
                let frame = try ClientClientFrame(serializedBytes: frames[number % Samples.count])
                sum &+= frame.send.body.text.utf8.count
            }
            return sum
        }
    },
    Kernel("protobuf-send-encode", operations: 5_000) {
        let frames = Samples.sends
        return { count in
            var sum = 0
            for number in 0..<count {
                let bytes: [UInt8] = try frames[number % Samples.count].serializedBytes()
                sum &+= bytes.count
            }
            return sum
        }
    },
    Kernel("protobuf-event-encode", operations: 5_000) { encodeProtobuf(Samples.eventFrames) },
    Kernel("protobuf-ack-encode", operations: 8_000) { encodeProtobuf(Samples.ackFrames) },
    // A message of the log as the frame that clients get: the way that nearly every event takes.
    Kernel("json-message-frame", operations: 8_000) {
        let events = Samples.events
        var bytes: [UInt8] = []
        return { count in
            var sum = 0
            for number in 0..<count {
                let storage = bytes
                bytes = []
                bytes = MessageEventFrame.json(events[number % Samples.count], withClientID: false, reusing: storage)
                sum &+= bytes.count
            }
            return sum
        }
    },
    Kernel("protobuf-message-frame", operations: 8_000) {
        let events = Samples.events
        return { count in
            var sum = 0
            for number in 0..<count {
                sum &+= MessageEventFrame.protobuf(events[number % Samples.count], withClientID: false).count
            }
            return sum
        }
    },
    Kernel("event-for-client", operations: 4_000) {
        // The log's event as clients see it, before it is encoded.
        let events = Samples.events
        return { count in
            var sum = 0
            for number in 0..<count {
                sum &+= ClientEvent(events[number % Samples.count], withClientID: false).id.utf8.count
            }
            return sum
        }
    },
]

private func encodeJSON(_ frames: [ClientServerFrame]) -> Kernel.Operations {
    var storage: [UInt8] = []
    return { count in
        var sum = 0
        for number in 0..<count {
            storage = ClientJSON.encode(frames[number % Samples.count], reusing: storage)
            sum &+= storage.count
        }
        return sum
    }
}

private func encodeProtobuf(_ frames: [ClientServerFrame]) -> Kernel.Operations {
    { count in
        var sum = 0
        for number in 0..<count {
            let bytes: [UInt8] = try frames[number % Samples.count].serializedBytes()
            sum &+= bytes.count
        }
        return sum
    }
}
