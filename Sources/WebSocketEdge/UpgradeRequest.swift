import Crypto

/// The two forms of the client protocol.
package enum Subprotocol: String, Sendable, CaseIterable {
    case json = "roost.v1.json"
    case protobuf = "roost.v1.proto"
}

/// A valid request for a WebSocket: everything of RFC 6455 §4.2.1 has been checked, the credential has not.
package struct UpgradeRequest: Equatable, Sendable {
    package enum Credential: Equatable, Sendable {
        case ticket(String)
        case bearer(String)
    }

    package var credential: Credential
    package var subprotocol: Subprotocol
    /// Whether the client named a subprotocol: only then the answer does.
    package var namesSubprotocol: Bool
    /// Whom the gateway says the request is from; nil without a gateway.
    package var forwardedFor: String?
    private var key: String

    /// What a head asks for, or how it is refused. `origins`: allowed besides the request's own host; `*` allows any.
    package init(_ head: HTTPRequestHead, origins: Set<String>) throws(HTTPProblem) {
        guard let host = head.headers["host"], !host.isEmpty, !host.contains(",") else { throw .malformed }
        guard head.list("upgrade").contains(where: { $0.lowercased() == "websocket" }),
            head.list("connection").contains(where: { $0.lowercased() == "upgrade" })
        else {
            throw HTTPProblem(
                status: 426, code: "invalid", detail: "This is a WebSocket.",
                headers: ["Upgrade": "websocket", "Sec-WebSocket-Version": "13"])
        }
        guard head.headers["sec-websocket-version"] == "13" else {
            throw HTTPProblem(
                status: 426, code: "invalid", detail: "Only version 13 of WebSocket is spoken.",
                headers: ["Upgrade": "websocket", "Sec-WebSocket-Version": "13"])
        }
        guard let key = head.headers["sec-websocket-key"], Self.isKey(key) else { throw .malformed }
        let bodyLength = head.headers["content-length"] ?? "0"
        guard bodyLength == "0", head.headers["transfer-encoding"] == nil else { throw .malformed }
        if let origin = head.headers["origin"] {
            let own = [host, head.headers["x-forwarded-host"] ?? host]
            guard
                origins.contains("*") || origins.contains(origin) || own.contains(where: { Self.host($0, is: origin) })
            else { throw .foreignOrigin }
        }
        let named = head.list("sec-websocket-protocol")
        if named.isEmpty {
            subprotocol = .json
            namesSubprotocol = false
        } else {
            guard let known = named.lazy.compactMap(Subprotocol.init(rawValue:)).first else {
                throw HTTPProblem(
                    status: 400, code: "invalid",
                    detail: "None of the subprotocols is known: roost.v1.json, roost.v1.proto.")
            }
            subprotocol = known
            namesSubprotocol = true
        }
        if let ticket = head.parameter("ticket"), !ticket.isEmpty {
            credential = .ticket(ticket)
        } else if let authorization = head.headers["authorization"],
            authorization.prefix(7).lowercased() == "bearer ", authorization.utf8.count > 7
        {
            credential = .bearer(String(authorization.dropFirst(7)))
        } else {
            throw .unauthorized
        }
        forwardedFor = head.list("x-forwarded-for").first
        self.key = key
    }

    /// 16 bytes in base 64.
    private static func isKey(_ key: String) -> Bool {
        let bytes = Array(key.utf8)
        return bytes.count == 24 && bytes[22] == UInt8(ascii: "=") && bytes[23] == UInt8(ascii: "=")
            && bytes[..<22].allSatisfy {
                switch $0 {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "+"), UInt8(ascii: "/"): true
                default: false
                }
            }
    }

    /// Whether a page of this origin (`https://host:port`) came from that host. A port that the scheme implies may be left out.
    private static func host(_ host: String, is origin: String) -> Bool {
        for (scheme, port) in [("http://", ":80"), ("https://", ":443")] where origin.hasPrefix(scheme) {
            func plain(_ text: some StringProtocol) -> String {
                let text = text.lowercased()
                return text.hasSuffix(port) ? String(text.dropLast(port.count)) : text
            }
            return plain(origin.dropFirst(scheme.count)) == plain(host)
        }
        return false
    }

    /// The head of the answer that opens the WebSocket.
    var response: String {
        var lines = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        lines += "Sec-WebSocket-Accept: \(accept)\r\n"
        if namesSubprotocol { lines += "Sec-WebSocket-Protocol: \(subprotocol.rawValue)\r\n" }
        return lines + "\r\n"
    }

    /// RFC 6455 §4.2.2, 5.4.
    private var accept: String {
        var hash = Insecure.SHA1()
        hash.update(data: Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8))
        return Self.base64(Array(hash.finalize()))
    }

    private static func base64(_ bytes: [UInt8]) -> String {
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var out: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            var bits = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << UInt32(8 * (3 - group.count))
            var characters: [UInt8] = []
            for _ in 0..<4 {
                characters.insert(digits[Int(bits & 63)], at: 0)
                bits >>= 6
            }
            out += characters.prefix(group.count + 1) + Array(repeating: UInt8(ascii: "="), count: 3 - group.count)
        }
        return String(decoding: out, as: UTF8.self)
    }
}
