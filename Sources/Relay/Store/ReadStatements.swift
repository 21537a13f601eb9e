package import Postgres

/// The SQL that reads the log. Every statement reaches its rows through an index; none takes a lock.
package enum ReadStatements {
    /// Where each of the user's conversations stands for a device: conversation, after, head, joined, floor.
    package static let positionsOfAll: Statement = """
        SELECT m.conversation, coalesce(k.seq, m.joined_seq), least(c.head, coalesce(m.left_seq, c.head)),
            m.joined_seq, c.floor
        FROM relay.members m
        JOIN relay.conversations c ON c.id = m.conversation
        LEFT JOIN relay.cursors k ON k.user_id = m.user_id AND k.device = $2 AND k.conversation = m.conversation
        WHERE m.user_id = $1
        """

    /// The same for some conversations, without the device's cursor.
    package static let positionsOfSome: Statement = """
        SELECT m.conversation, m.joined_seq, least(c.head, coalesce(m.left_seq, c.head)), m.joined_seq, c.floor
        FROM unnest($2::bigint[]) AS i (conversation)
        JOIN relay.members m ON m.conversation = i.conversation AND m.user_id = $1
        JOIN relay.conversations c ON c.id = m.conversation
        """

    /// The columns that `EventColumns` reads, of `e`.
    private static let event = """
        e.conversation, e.seq, e.kind, e.sender, e.sent_at, e.client_id, e.body, e.target, e.emoji, e.removed
        """

    /// Ranges of several conversations, each (after, until], in the order given, oldest first.
    package static let ranges = Statement(
        """
        SELECT \(event)
        FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])
            WITH ORDINALITY AS i (conversation, after, until, position)
        JOIN relay.events e ON e.conversation = i.conversation AND e.seq > i.after AND e.seq <= i.until
        ORDER BY i.position, e.seq
        """)

    /// Whether the conversation $1 exists, and what the user $2 may see of it: after, until (null: no member).
    package static let window: Statement = """
        SELECT m.joined_seq, least(c.head, coalesce(m.left_seq, c.head))
        FROM relay.conversations c
        LEFT JOIN relay.members m ON m.conversation = c.id AND m.user_id = $2
        WHERE c.id = $1
        """

    /// Messages before $3 that the user may see, newest first. $4: how many; $5: all events instead.
    package static let before = Statement(
        """
        SELECT \(event)
        FROM relay.members m
        JOIN relay.events e ON e.conversation = m.conversation AND e.seq < $3 AND e.seq > m.joined_seq
            AND (m.left_seq IS NULL OR e.seq <= m.left_seq) AND ($5::boolean OR e.kind IN (1, 5, 6))
        WHERE m.conversation = $1 AND m.user_id = $2
        ORDER BY e.seq DESC LIMIT $4::bigint
        """)

    /// Messages after $3 that the user may see, oldest first.
    package static let after = Statement(
        """
        SELECT \(event)
        FROM relay.members m
        JOIN relay.events e ON e.conversation = m.conversation AND e.seq > greatest($3, m.joined_seq)
            AND (m.left_seq IS NULL OR e.seq <= m.left_seq) AND ($5::boolean OR e.kind IN (1, 5, 6))
        WHERE m.conversation = $1 AND m.user_id = $2
        ORDER BY e.seq LIMIT $4::bigint
        """)

    /// A page of the conversations of user $1 as its device $2 sees them, newest first.
    ///
    /// $3 kind or null, $4 limit, $5 and $6 the last item's active_at and id or null, $7 only those with something pending.
    package static let conversations = list(
        filter: """
            c.head > 0 AND ($3::smallint IS NULL OR c.kind = $3)
                AND ($5::timestamptz IS NULL OR (c.active_at, c.id) < ($5, $6::bigint))
                AND (NOT $7::boolean
                    OR least(c.head, coalesce(m.left_seq, c.head)) > coalesce(k.seq, m.joined_seq))
            """, limit: "$4::bigint")

    /// The same for the conversation $3 alone.
    package static let conversation = list(filter: "m.conversation = $3", limit: "1")

    private static func list(filter: String, limit: String) -> Statement {
        Statement(
            """
            WITH page AS MATERIALIZED (
                SELECT c.id, c.kind, c.active_at, c.ordinal, least(c.head, coalesce(m.left_seq, c.head)) AS head,
                    m.left_seq, m.read_seq, m.read_ordinal, m.own_ahead, m.muted_until,
                    CASE WHEN $2::bigint = 0 THEN m.delivered_seq ELSE coalesce(k.seq, m.joined_seq) END AS delivered
                FROM relay.members m
                JOIN relay.conversations c ON c.id = m.conversation
                LEFT JOIN relay.cursors k
                    ON k.user_id = m.user_id AND k.device = $2 AND k.conversation = m.conversation
                WHERE m.user_id = $1 AND \(filter)
                ORDER BY c.active_at DESC, c.id DESC
                LIMIT \(limit)
            )
            SELECT \(event), p.id, p.kind, p.head, p.delivered, p.read_seq,
                greatest(CASE WHEN p.left_seq IS NULL THEN p.ordinal ELSE e.ordinal END - p.read_ordinal - p.own_ahead, 0),
                p.muted_until, p.active_at, o.user_id, o.delivered_seq, o.read_seq
            FROM page p
            LEFT JOIN relay.events e ON e.conversation = p.id AND e.seq = p.head
            LEFT JOIN relay.members o ON p.kind = 1 AND o.conversation = p.id AND o.user_id <> $1
            ORDER BY p.active_at DESC, p.id DESC
            """)
    }

    /// Who of the members has the event $2 of the conversation $1, and who has read it.
    package static let receipts: Statement = """
        SELECT m.user_id, greatest(m.delivered_seq, m.read_seq) >= $2::bigint, m.read_seq >= $2
        FROM relay.members m
        JOIN relay.events e ON e.conversation = m.conversation AND e.seq = $2
        WHERE m.conversation = $1 AND m.user_id <> e.sender AND m.left_seq IS NULL AND m.joined_seq < $2
        ORDER BY m.user_id
        """
}
