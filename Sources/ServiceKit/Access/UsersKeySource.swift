import ChatModel
import Protocol
import RPC
package import RPCTransport

/// The keys and revocations as the users role tells them over RPC.
package struct UsersKeySource: AccessKeySource {
    private let users: UsersStub

    /// - Parameter users: The pool of the users role.
    package init(users: any RPCCaller) { self.users = UsersStub(users) }

    package func keys() async throws -> String {
        try await users.keys(UsersKeysRequest()).jwks
    }

    package func followRevocations(_ revoked: @escaping @Sendable ([Revocation]) -> Void) async throws {
        let pages = try await users.revocations(UsersRevocationsRequest(), options: .init(timeout: nil))
        for try await page in pages {
            revoked(
                zip(page.devices, page.endedMs).map { device, endedAt in
                    Revocation(device: DeviceID(rawValue: device), endedAt: endedAt)
                })
        }
    }
}
