import Foundation

/// Somebody who is signed in on one device, as REST sees them.
package struct Account: Sendable {
    package let rest: RESTClient
    package var user: String
    package var username: String
    package var device: String
    package var accessToken: String
    package var refreshToken: String

    private init(rest: RESTClient, answer: JSONValue) throws {
        self.rest = rest
        guard let user = answer["user"]["id"].string, let access = answer["access_token"].string,
            let refresh = answer["refresh_token"].string,
            let device = answer["device"]["id"].string ?? answer["device"].string
        else {
            throw RESTFailure(
                call: "sign in", status: 201, code: "", detail: "the answer lacks a user, device or token")
        }
        (self.user, self.device, accessToken, refreshToken) = (user, device, access, refresh)
        username = answer["user"]["username"].string ?? ""
    }

    package static func register(
        _ rest: RESTClient, username: String, email: String? = nil, password: String = Account.password
    ) async throws -> Account {
        try Account(
            rest: rest,
            answer: await rest.json(
                "POST", "/user-service/v1/users",
                [
                    "username": .string(username), "email": .string(email ?? "\(username)@example.org"),
                    "password": .string(password),
                ]))
    }

    /// - Parameter device: a device to log in again; nil makes a new one.
    package static func login(
        _ rest: RESTClient, login: String, password: String = Account.password, device: String? = nil,
        deviceName: String? = nil
    ) async throws -> Account {
        var body: [String: JSONValue] = ["login": .string(login), "password": .string(password)]
        if let deviceName { body["device_name"] = .string(deviceName) }
        if let device { body["device"] = .string(device) }
        return try Account(rest: rest, answer: await rest.json("POST", "/user-service/v1/sessions", .object(body)))
    }

    /// What accounts of load tests and of the project's own tests use.
    package static let password = "a long day at the lake"

    package func json(_ method: String, _ path: String, _ body: JSONValue? = nil) async throws -> JSONValue {
        try await rest.json(method, path, token: accessToken, body)
    }

    package func call(_ method: String, _ path: String, _ body: JSONValue? = nil) async throws -> RESTResponse {
        try await rest.call(method, path, token: accessToken, body: try body?.data)
    }

    package func ticket() async throws -> String {
        guard let ticket = try await json("POST", "/user-service/v1/tickets")["ticket"].string else {
            throw RESTFailure(call: "POST tickets", status: 201, code: "", detail: "the answer lacks a ticket")
        }
        return ticket
    }

    /// A WebSocket address with a fresh ticket.
    /// - Parameter node: the node to be connected to; nil leaves the choice to the gateway.
    package func webSocketURL(node: String? = nil) async throws -> String {
        let gateway = "ws" + rest.base.dropFirst("http".count)
        let chosen = node.map { "&node=\($0)" } ?? ""
        return "\(gateway)/chat-service/v1/ws?ticket=\(try await ticket())\(chosen)"
    }
}
