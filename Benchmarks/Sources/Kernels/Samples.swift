import ChatModel
import Protocol

/// What the kernels work on. There are several of each, so that a kernel can take them in turn.
enum Samples {
    /// How many there are of each: a power of two.
    static let count = 8

    /// Short chat messages; one of them isn't ASCII.
    static let texts = (0..<count).map { number in
        number == 3
            ? "Ünïcödé for everyone: naïve café, 你好, 👋 and what else there is to say"
            : "Message \(number): see you at the station at half past seven, I'll bring the tickets"
    }

    static let conversations = (0..<count).map { ConversationID(rawValue: 4_611_686_018_427_388_160 + UInt64($0) * 2) }

    /// Events as the log has them.
    static let events = (0..<count).map { number in
        var event = Protocol.LogEvent()
        event.conversation = conversations[number].rawValue
        event.seq = 1000 + UInt64(number)
        event.kind = .message
        event.sender = 3_074_457_345_618_258_602 + UInt64(number)
        event.sentAtMs = 1_780_000_000_123
        event.clientID = "0f3c9a52-77d1-4c1e-9b60-2f1d5e8a000\(number)"
        event.body.text = texts[number]
        return event
    }

    /// What clients send to say so.
    static let sends = (0..<count).map { number in
        var send = ClientSend()
        send.ref = "r\(number)"
        send.conversation = conversations[number].description
        send.clientID = events[number].clientID
        send.body.text = texts[number]
        send.body.format = "plain"
        var frame = ClientClientFrame()
        frame.frame = .send(send)
        return frame
    }

    /// What receivers are sent.
    static let eventFrames = events.map { event in
        var frame = ClientServerFrame()
        frame.frame = .event(ClientEvent(event, withClientID: false))
        return frame
    }

    /// What the sender is sent.
    static let ackFrames = (0..<count).map { number in
        var response = MessagesSendResponse()
        response.conversation = conversations[number].rawValue
        response.seq = events[number].seq
        response.sentAtMs = events[number].sentAtMs
        var frame = ClientServerFrame()
        frame.frame = .ack(ClientAck(response, ref: "r\(number)"))
        return frame
    }

    /// What the relay is asked to append.
    static func appends(_ count: Int) -> [RelayAppendRequest] {
        (0..<count).map { number in
            let event = events[number % Samples.count]
            var request = RelayAppendRequest()
            request.conversation = event.conversation
            request.sender = event.sender
            request.clientID = "\(event.clientID)-\(number)"
            request.kind = .message
            request.body = event.body
            return request
        }
    }
}
