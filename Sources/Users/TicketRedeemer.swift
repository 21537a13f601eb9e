import ChatModel
package import RPC
package import Redis
package import ServiceKit

/// Takes tickets, each once: whoever sets its mark in Redis first has it.
///
/// A Redis that was emptied has forgotten the marks. So it also holds since when it remembers: tickets from before are
/// refused, and asked for again.
package struct TicketRedeemer: Sendable {
    private let issuer: TokenIssuer
    private let revocations: RevocationFeed
    private let redis: RedisClient
    private let prefix: String
    private let now: @Sendable () -> Int64

    /// - Parameter now: Unix milliseconds.
    package init(
        issuer: TokenIssuer, revocations: RevocationFeed, redis: RedisClient, prefix: String = "roost:v1:ticket",
        now: @escaping @Sendable () -> Int64
    ) {
        self.issuer = issuer
        self.revocations = revocations
        self.redis = redis
        self.prefix = prefix
        self.now = now
    }

    /// Whose ticket it is.
    package func redeem(_ text: String) async throws(RPCError) -> Identity {
        let now = now()
        let keys: AccountKeys
        do { keys = try issuer.keys() } catch { throw RPCError(error) }
        guard let ticket = Ticket(text, keys: keys.ticket, now: now),
            !revocations.isRevoked(ticket.device, issuedAt: ticket.issued)
        else { throw RPCError(.unauthorized, "The ticket is bad or has expired.") }
        let isFirst: Bool
        do {
            isFirst =
                try await redis.eval(
                    Self.script, keys: ["\(prefix):\(Base64URL.encode(ticket.nonce))", sinceKey],
                    arguments: [
                        RedisArgument(now), RedisArgument(ticket.issued),
                        // Kept longer than the ticket is good, for clocks that differ.
                        RedisArgument(ticket.expires - now + 10_000),
                    ]
                ).int == 1
        } catch {
            throw RPCError(
                .unavailable, "Tickets can't be redeemed while Redis can't be reached: \(error.code).")
        }
        guard isFirst else { throw RPCError(.unauthorized, "The ticket has been used.") }
        return Identity(user: ticket.user, device: ticket.device)
    }

    /// Has Redis remember from now on, unless it does.
    package func begin() async {
        guard redis.isConnected else { return }
        _ = try? await redis.send("SET", RedisArgument(sinceKey), RedisArgument(now()), "NX")
    }

    /// Does so whenever it was emptied, so that tickets of later are good; until cancelled.
    package func run() async {
        repeat { await begin() } while (try? await Task.sleep(for: .milliseconds(500))) != nil
    }

    private var sinceKey: String { prefix + ":since" }

    /// KEYS: the ticket's mark, since when Redis remembers. ARGV: now, when the ticket was made, for how long to keep the
    /// mark. Answers 1 to the first only.
    private static let script = RedisScript(
        """
        redis.call('SET', KEYS[2], ARGV[1], 'NX')
        if tonumber(ARGV[2]) < tonumber(redis.call('GET', KEYS[2])) then return 0 end
        if redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[3]) then return 1 end
        return 0
        """)
}
