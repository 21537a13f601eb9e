package import Postgres

/// The SQL that reads the log. Every statement reaches its rows through an index (a test holds each to that); none takes a
/// lock. All that is read is in its present state.
package enum ReadStatements {
    /// Joins its conversation to a member `m` as `c`: the members are read first, whatever the planner thinks of how many
    /// conversations there are.
    private static let conversationOfMember = """
        CROSS JOIN LATERAL (SELECT * FROM relay.conversations WHERE id = m.conversation OFFSET 0) c
        """

    /// Joins what the device $2 has acknowledged of it to a member `m` as `k`.
    private static let cursorOfMember = cursorOfMember(user: "$1", device: "$2")

    /// One row of the index for each, where the planner might think that all of a device's are few.
    private static func cursorOfMember(user: String, device: String) -> String {
        """
        LEFT JOIN LATERAL (
            SELECT seq FROM relay.cursors
            WHERE user_id = \(user) AND device = \(device) AND conversation = m.conversation OFFSET 0
        ) k ON true
        """
    }

    // MARK: Catching up

    /// Where each of the users' ($1) conversations stands for a device ($2): position (from 1), conversation, after, head,
    /// joined, floor. Those that the user has left are there until the device has acknowledged the end, and where they
    /// are among $3, an array for each as text.
    package static let positionsOfAll = Statement(
        """
        SELECT i.position, m.conversation, greatest(k.seq, m.joined_seq), least(c.head, coalesce(m.left_seq, c.head)),
            m.joined_seq, c.floor
        FROM unnest($1::bigint[], $2::bigint[], $3::text[])
            WITH ORDINALITY AS i (user_id, device, named, position)
        JOIN relay.members m ON m.user_id = i.user_id
        \(conversationOfMember)
        \(cursorOfMember(user: "i.user_id", device: "i.device"))
        WHERE m.left_seq IS NULL OR m.left_seq > greatest(k.seq, m.joined_seq)
            OR m.conversation = ANY (i.named::bigint[])
        """)

    /// The same for some conversations, without the device's cursor.
    package static let positionsOfSome: Statement = """
        SELECT m.conversation, m.joined_seq, least(c.head, coalesce(m.left_seq, c.head)), m.joined_seq, c.floor
        FROM unnest($2::bigint[]) AS i (conversation)
        JOIN relay.members m ON m.conversation = i.conversation AND m.user_id = $1
        JOIN relay.conversations c ON c.id = m.conversation
        """

    /// The columns that `EventColumns` reads, of `e`.
    private static let event = """
        e.conversation, e.seq, e.kind, e.sender, e.sent_at, e.client_id, e.body, e.target, e.emoji, e.removed,
            e.deleted_at IS NOT NULL
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

    // MARK: History

    /// Whether the conversation $1 exists, and what the user $2 may see of it: after, until (both null: never a member),
    /// and the conversation's head and active_at.
    package static let window: Statement = """
        SELECT m.joined_seq, least(c.head, coalesce(m.left_seq, c.head)), c.head, c.active_at
        FROM relay.conversations c
        LEFT JOIN relay.members m ON m.conversation = c.id AND m.user_id = $2
        WHERE c.id = $1
        """

    /// The columns that `MessageColumns` reads, of `e` and `r`.
    private static let message = "\(event), e.edited_at, r.emojis, r.users"

    /// Joins the reactions to `e` as `r`, in the order of their events. Only messages have any.
    private static let reactions = """
        LEFT JOIN LATERAL (
            SELECT array_agg(x.emoji ORDER BY x.seq) AS emojis, array_agg(x.user_id ORDER BY x.seq) AS users
            FROM relay.reactions x
            WHERE x.conversation = e.conversation AND x.target = e.seq AND NOT x.removed AND e.kind = 1
        ) r ON true
        """

    /// Messages before $3 that the user may see, newest first. $4: how many; $5: all events instead; $6: also changes of
    /// members and group.
    package static let before = page("e.seq < $3", "DESC")

    /// Messages after $3 that the user may see, oldest first.
    package static let after = page("e.seq > $3", "ASC")

    /// The window is read first and bounds the index's scan, which then ends with the limit. The reactions of the whole page
    /// are one scan, not one for each of its messages.
    private static func page(_ edge: String, _ order: String) -> Statement {
        Statement(
            """
            WITH seen AS MATERIALIZED (
                SELECT joined_seq AS after, coalesce(left_seq, 9223372036854775807) AS until
                FROM relay.members WHERE conversation = $1 AND user_id = $2
            ), page AS MATERIALIZED (
                SELECT * FROM relay.events e
                WHERE e.conversation = $1 AND \(edge) AND e.seq > (SELECT after FROM seen)
                    AND e.seq <= (SELECT until FROM seen)
                    AND (e.kind = 1 OR $5::boolean OR ($6::boolean AND e.kind IN (5, 6)))
                ORDER BY e.seq \(order) LIMIT $4::bigint
            ), reacted AS MATERIALIZED (
                SELECT x.target, array_agg(x.emoji ORDER BY x.seq) AS emojis,
                    array_agg(x.user_id ORDER BY x.seq) AS users
                FROM relay.reactions x
                WHERE x.conversation = $1 AND x.target >= (SELECT min(seq) FROM page)
                    AND x.target <= (SELECT max(seq) FROM page) AND NOT x.removed
                GROUP BY x.target
            )
            SELECT \(message)
            FROM page e
            LEFT JOIN reacted r ON r.target = e.seq AND e.kind = 1
            ORDER BY e.seq \(order)
            """)
    }

    /// The newest $3 messages of the conversation $1 whoever asks, newest first, and, of the same snapshot, what the user $2
    /// may see: a row each with after, until, head and active_at behind the message's columns, or one without a message.
    /// $4: also changes of members and group.
    package static let newest = Statement(
        """
        SELECT \(message), m.joined_seq, least(c.head, coalesce(m.left_seq, c.head)), c.head, c.active_at
        FROM relay.conversations c
        LEFT JOIN relay.members m ON m.conversation = c.id AND m.user_id = $2
        LEFT JOIN LATERAL (
            SELECT * FROM relay.events e
            WHERE e.conversation = $1 AND (e.kind = 1 OR ($4::boolean AND e.kind IN (5, 6)))
            ORDER BY e.seq DESC LIMIT $3::bigint
        ) e ON true
        \(reactions)
        WHERE c.id = $1
        ORDER BY e.seq DESC
        """)

    /// Messages by (conversations $2, seqs $3), in that order: those that the user $1 may see and that were not deleted.
    package static let lookup = Statement(
        """
        SELECT \(message)
        FROM unnest($2::bigint[], $3::bigint[]) WITH ORDINALITY AS i (conversation, seq, position)
        JOIN relay.members m ON m.conversation = i.conversation AND m.user_id = $1 AND m.joined_seq < i.seq
            AND (m.left_seq IS NULL OR m.left_seq >= i.seq)
        JOIN relay.events e ON e.conversation = i.conversation AND e.seq = i.seq AND e.kind = 1
            AND e.deleted_at IS NULL
        \(reactions)
        ORDER BY i.position
        """)

    /// Who of the members has the event $2 of the conversation $1, and who has read it.
    package static let receipts: Statement = """
        SELECT m.user_id, greatest(m.delivered_seq, m.read_seq) >= $2::bigint, m.read_seq >= $2
        FROM relay.members m
        JOIN relay.events e ON e.conversation = m.conversation AND e.seq = $2
        WHERE m.conversation = $1 AND m.user_id <> e.sender AND m.left_seq IS NULL AND m.joined_seq < $2
        ORDER BY m.user_id
        """

    // MARK: A user's conversations

    /// A page of the conversations of user $1 as its device $2 sees them, newest first; without those that the user has left.
    ///
    /// $3 kind or null, $4 limit, $5 and $6 the last item's active_at and id or null.
    package static let conversations = list(
        filter: "m.left_seq IS NULL AND \(paged)", limit: "$4::bigint")

    /// The same for those with something that the device has not acknowledged, also where the user has left.
    package static let pendingConversations = list(
        with: cursorOfMember,
        filter: "least(c.head, coalesce(m.left_seq, c.head)) > greatest(k.seq, m.joined_seq) AND \(paged)",
        limit: "$4::bigint")

    /// The same for the conversation $3 alone, also where the user has left.
    package static let conversation = list(filter: "m.conversation = $3", limit: "1")

    private static let paged = """
        c.head > 0 AND ($3::smallint IS NULL OR c.kind = $3)
            AND ($5::timestamptz IS NULL OR (c.active_at, c.id) < ($5, $6::bigint))
        """

    /// The page is found by as few columns as order it; what else an item shows is read for the page alone.
    private static func list(with cursors: String = "", filter: String, limit: String) -> Statement {
        Statement(
            """
            WITH page AS MATERIALIZED (
                SELECT c.id, c.active_at
                FROM relay.members m
                \(conversationOfMember)
                \(cursors)
                WHERE m.user_id = $1 AND \(filter)
                ORDER BY c.active_at DESC, c.id DESC
                LIMIT \(limit)
            )
            SELECT \(event), c.id, c.kind, least(c.head, coalesce(m.left_seq, c.head)),
                CASE WHEN $2::bigint = 0 THEN m.delivered_seq ELSE greatest(k.seq, m.joined_seq) END, m.read_seq,
                greatest(CASE WHEN m.left_seq IS NULL THEN c.ordinal ELSE e.ordinal END - m.read_ordinal - m.own_ahead, 0),
                m.muted_until, p.active_at, o.user_id, o.delivered_seq, o.read_seq,
                (
                    SELECT count(*) FROM relay.mentions x
                    WHERE x.conversation = c.id AND x.user_id = $1 AND x.seq > m.read_seq
                ), c.info, m.role, c.member_count
            FROM page p
            JOIN relay.conversations c ON c.id = p.id
            JOIN relay.members m ON m.conversation = p.id AND m.user_id = $1
            \(cursorOfMember)
            LEFT JOIN relay.events e
                ON e.conversation = p.id AND e.seq = least(c.head, coalesce(m.left_seq, c.head))
            LEFT JOIN LATERAL (
                -- The other user of a direct conversation; a group's members are not read.
                SELECT * FROM relay.members WHERE c.kind = 1 AND conversation = p.id AND user_id <> $1 OFFSET 0
            ) o ON true
            ORDER BY p.active_at DESC, p.id DESC
            """)
    }

    /// What the user $1 may read, of the kind $2 or null: conversation, after, until. Only where there is something.
    package static let windows = Statement(
        """
        SELECT m.conversation, m.joined_seq, least(c.head, coalesce(m.left_seq, c.head))
        FROM relay.members m
        \(conversationOfMember)
        WHERE m.user_id = $1 AND ($2::smallint IS NULL OR c.kind = $2)
            AND least(c.head, coalesce(m.left_seq, c.head)) > m.joined_seq
        """)

    /// The same for the conversation $2 alone.
    package static let windowOfOne: Statement = """
        SELECT m.conversation, m.joined_seq, least(c.head, coalesce(m.left_seq, c.head))
        FROM relay.members m
        JOIN relay.conversations c ON c.id = m.conversation
        WHERE m.user_id = $1 AND m.conversation = $2 AND least(c.head, coalesce(m.left_seq, c.head)) > m.joined_seq
        """

    /// Those of $2 who have said something to the user $1, among the first or the last hundred events of their conversation:
    /// who only was written to is nobody's contact.
    package static let contacts: Statement = """
        SELECT i.peer
        FROM unnest($2::bigint[]) WITH ORDINALITY AS i (peer, position)
        JOIN relay.directs d ON d.low_user = least($1, i.peer) AND d.high_user = greatest($1, i.peer)
        JOIN relay.conversations c ON c.id = d.conversation AND c.head > 0
        WHERE i.peer IN (
                SELECT f.sender FROM (
                    SELECT e.sender FROM relay.events e WHERE e.conversation = c.id ORDER BY e.seq LIMIT 100
                ) f
            ) OR i.peer IN (
                SELECT l.sender FROM (
                    SELECT e.sender FROM relay.events e WHERE e.conversation = c.id ORDER BY e.seq DESC LIMIT 100
                ) l
            )
        ORDER BY i.position
        """

    // MARK: Following

    /// The log in the order of its transactions, as a consumer follows it: what comes after ($1, $2, $3) and was written by
    /// a transaction below the oldest one that still runs, so that nothing which commits late is skipped.
    ///
    /// $4 how many shards there are or 0 and $5 those wanted, $6 how many events, $7 how many to look at. Answers one row at
    /// least: an event's columns (null: there is none), its transaction; in each row the oldest running transaction, whether
    /// as many as may be looked at are there, and the last place looked at: transaction, conversation, seq.
    package static let follow = Statement(
        """
        WITH bound AS MATERIALIZED (
            SELECT pg_snapshot_xmin(pg_current_snapshot()) AS xmin
        ), edge AS MATERIALIZED (
            (
                SELECT e.xid, e.conversation, e.seq, true AS is_full
                FROM relay.events e
                WHERE (e.xid, e.conversation, e.seq) > ($1::text::xid8, $2::bigint, $3::bigint)
                    AND e.xid < (SELECT xmin FROM bound)
                ORDER BY e.xid, e.conversation, e.seq
                OFFSET $7::bigint - 1 LIMIT 1
            )
            UNION ALL
            SELECT xmin, 0, 0, false FROM bound
            ORDER BY is_full DESC
            LIMIT 1
        )
        SELECT \(event), e.xid::text, b.xmin::text, l.is_full, l.xid::text, l.conversation, l.seq
        FROM bound b
        CROSS JOIN edge l
        LEFT JOIN LATERAL (
            SELECT *
            FROM relay.events e
            WHERE (e.xid, e.conversation, e.seq) > ($1::text::xid8, $2::bigint, $3::bigint)
                AND (e.xid, e.conversation, e.seq) <= (l.xid, l.conversation, l.seq)
                AND ($4::bigint = 0 OR (e.conversation >> 1) % $4 = ANY ($5::bigint[]))
            ORDER BY e.xid, e.conversation, e.seq
            LIMIT $6::bigint
        ) e ON true
        ORDER BY e.xid, e.conversation, e.seq
        """)
}
