import NIOConcurrencyHelpers

/// Somebody who stays signed in: when the access token is no longer good, by signing in again on the same device.
package final class SignedIn: Sendable {
    private let password: String
    private let current: NIOLockedValueBox<Account>

    package init(_ account: Account, password: String) {
        self.password = password
        current = NIOLockedValueBox(account)
    }

    package var account: Account { current.withLockedValue { $0 } }

    /// Does something that calls REST, once more after signing in again where that was asked for.
    package func withAccount<Result: Sendable>(_ body: (Account) async throws -> Result) async throws -> Result {
        let account = account
        do {
            return try await body(account)
        } catch let failure as RESTFailure where failure.status == 401 {
            let renewed = try await Account.login(
                account.rest, login: account.username, password: password, device: account.device)
            current.withLockedValue { $0 = renewed }
            return try await body(renewed)
        }
    }
}
