package import Postgres

/// The SQL of the log. Every statement reaches its rows through an index (a test holds each to that) and takes locks in
/// one order: conversations by id, then members by (conversation, user), then sends by (sender, client_id).
package enum LogStatements {
    /// Locks the conversations that a batch appends to. A statement of its own: the next one then has a snapshot that is
    /// younger than the locks, and so sees everything that the lock's earlier holders wrote.
    package static let lock: Statement = """
        SELECT id FROM relay.conversations WHERE id = ANY ($1::bigint[]) ORDER BY id FOR UPDATE
        """

    /// Appends a batch: tells what is known already, what may not be, and numbers and stores the rest.
    ///
    /// Parameters: conversations, senders, client ids, kinds, bodies, targets, emojis, removed, now. Answers a row for each
    /// of them: position (from 1), outcome (`AppendOutcome.Verdict`), conversation, seq, sent_at, membership.
    package static let append: Statement = """
        WITH input AS (
            SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::smallint[], $5::bytea[], $6::bigint[],
                $7::text[], $8::boolean[])
                WITH ORDINALITY AS i (conversation, sender, client_id, kind, body, target, emoji, removed, position)
        ), judged AS (
            SELECT i.*, c.head, c.ordinal AS messages, c.active_at, c.membership, m.user_id AS member,
                s.conversation AS known_conversation, s.seq AS known_seq
            FROM input i
            LEFT JOIN relay.conversations c ON c.id = i.conversation
            LEFT JOIN relay.members m
                ON m.conversation = i.conversation AND m.user_id = i.sender AND m.left_seq IS NULL
            LEFT JOIN relay.sends s ON s.sender = i.sender AND s.client_id = i.client_id
        ), placed AS (
            SELECT *, head + row_number() OVER w AS seq, messages + count(*) FILTER (WHERE kind = 1) OVER w AS ordinal,
                greatest($9::timestamptz, active_at) AS sent_at
            FROM judged
            WHERE known_seq IS NULL AND member IS NOT NULL AND head IS NOT NULL
            WINDOW w AS (PARTITION BY conversation ORDER BY position)
        ), stored AS (
            INSERT INTO relay.events
                (conversation, seq, ordinal, sender, sent_at, target, kind, removed, client_id, emoji, body)
            SELECT conversation, seq, ordinal, sender, sent_at, target, kind, removed, client_id, emoji, body
            FROM placed
        ), noted AS (
            INSERT INTO relay.sends (sender, conversation, seq, client_id)
            SELECT sender, conversation, seq, client_id FROM placed
            WHERE client_id IS NOT NULL ORDER BY sender, client_id
        ), advanced AS (
            UPDATE relay.conversations c SET head = p.seq, ordinal = p.ordinal, active_at = p.sent_at
            FROM (
                SELECT conversation, max(seq) AS seq, max(ordinal) AS ordinal, max(sent_at) AS sent_at
                FROM placed GROUP BY conversation
            ) p
            WHERE c.id = p.conversation
        ), seen AS (
            -- Who writes has read what is written, but not what came in between: where that is so, the own messages are
            -- counted apart.
            UPDATE relay.members m
            SET read_seq = CASE WHEN p.run AND m.read_seq = p.before THEN p.last ELSE m.read_seq END,
                read_ordinal = CASE WHEN p.run AND m.read_seq = p.before THEN p.ordinal ELSE m.read_ordinal END,
                own_ahead = CASE WHEN p.run AND m.read_seq = p.before THEN 0 ELSE m.own_ahead + p.messages END,
                delivered_seq = CASE WHEN p.run AND m.delivered_seq = p.before THEN p.last ELSE m.delivered_seq END
            FROM (
                SELECT conversation, sender, min(seq) - 1 AS before, max(seq) AS last, max(ordinal) AS ordinal,
                    count(*) FILTER (WHERE kind = 1) AS messages, max(seq) - min(seq) + 1 = count(*) AS run
                FROM placed GROUP BY conversation, sender ORDER BY conversation, sender
            ) p
            WHERE m.conversation = p.conversation AND m.user_id = p.sender
        )
        SELECT position, 0 AS outcome, conversation, seq, sent_at, membership FROM placed
        UNION ALL
        SELECT j.position, CASE WHEN j.known_seq IS NOT NULL THEN 1 WHEN j.head IS NULL THEN 2 ELSE 3 END,
            coalesce(j.known_conversation, j.conversation), coalesce(j.known_seq, 0), coalesce(e.sent_at, $9),
            coalesce(j.membership, 0)
        FROM judged j
        LEFT JOIN relay.events e ON e.conversation = j.known_conversation AND e.seq = j.known_seq
        WHERE j.known_seq IS NOT NULL OR j.member IS NULL OR j.head IS NULL
        """

    /// Who is in these conversations now: conversation, membership, kind, user.
    package static let members: Statement = """
        SELECT c.id, c.membership, c.kind, m.user_id
        FROM relay.conversations c
        JOIN relay.members m ON m.conversation = c.id AND m.left_seq IS NULL
        WHERE c.id = ANY ($1::bigint[])
        """

    package static let findDirect: Statement = """
        SELECT conversation FROM relay.directs WHERE low_user = $1 AND high_user = $2
        """

    /// Makes the direct conversation of a pair ($1 <= $2) under the id $3 at $4; answers no row where there is one.
    package static let makeDirect: Statement = """
        WITH pair AS (
            INSERT INTO relay.directs (low_user, high_user, conversation) VALUES ($1::bigint, $2::bigint, $3::bigint)
            ON CONFLICT DO NOTHING RETURNING conversation
        ), made AS (
            INSERT INTO relay.conversations (id, kind, created_at, active_at)
            SELECT conversation, 1, $4::timestamptz, $4::timestamptz FROM pair
        ), joined AS (
            INSERT INTO relay.members (conversation, user_id)
            SELECT p.conversation, u.id FROM pair p, (SELECT DISTINCT unnest(ARRAY[$1, $2]) AS id) u
        )
        SELECT conversation FROM pair
        """

    // MARK: Reading

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

    // MARK: Cursors

    /// Locks the memberships (conversations, users) that a batch of acknowledgements moves.
    package static let lockMembers: Statement = """
        SELECT m.conversation
        FROM unnest($1::bigint[], $2::bigint[]) AS i (conversation, user_id)
        JOIN relay.members m ON m.conversation = i.conversation AND m.user_id = i.user_id
        ORDER BY m.conversation, m.user_id FOR UPDATE OF m
        """

    /// Moves cursors forward: conversations, users, devices, delivered, read (0: not said).
    /// Answers what moved for a user: conversation, user, kind, delivered, read (0: not moved).
    package static let acknowledge: Statement = """
        WITH allowed AS (
            SELECT i.conversation, i.user_id, i.device, c.kind,
                least(i.delivered, coalesce(m.left_seq, c.head)) AS delivered,
                least(i.read, coalesce(m.left_seq, c.head)) AS read,
                m.delivered_seq AS old_delivered, m.read_seq AS old_read
            FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
                AS i (conversation, user_id, device, delivered, read)
            JOIN relay.members m ON m.conversation = i.conversation AND m.user_id = i.user_id
            JOIN relay.conversations c ON c.id = i.conversation
        ), held AS (
            INSERT INTO relay.cursors (user_id, device, conversation, seq)
            SELECT user_id, device, conversation, delivered FROM allowed WHERE delivered > 0 AND device > 0
            ORDER BY user_id, device, conversation
            ON CONFLICT (user_id, device, conversation)
                DO UPDATE SET seq = excluded.seq WHERE cursors.seq < excluded.seq
        ), furthest AS (
            SELECT conversation, user_id, kind, old_delivered, old_read,
                greatest(max(delivered), max(read), old_delivered) AS delivered, greatest(max(read), old_read) AS read
            FROM allowed GROUP BY conversation, user_id, kind, old_delivered, old_read
        ), moved AS (
            UPDATE relay.members m
            SET delivered_seq = f.delivered, read_seq = f.read,
                read_ordinal = CASE WHEN f.read > f.old_read THEN (
                        SELECT e.ordinal FROM relay.events e WHERE e.conversation = f.conversation AND e.seq = f.read
                    ) ELSE m.read_ordinal END,
                own_ahead = CASE WHEN f.read > f.old_read AND m.own_ahead > 0 THEN m.own_ahead - (
                        SELECT count(*) FROM relay.events e
                        WHERE e.conversation = f.conversation AND e.seq > f.old_read AND e.seq <= f.read
                            AND e.sender = f.user_id AND e.kind = 1
                    ) ELSE m.own_ahead END
            FROM (
                SELECT * FROM furthest WHERE delivered > old_delivered OR read > old_read
                ORDER BY conversation, user_id
            ) f
            WHERE m.conversation = f.conversation AND m.user_id = f.user_id
        )
        SELECT conversation, user_id, kind, CASE WHEN delivered > old_delivered THEN delivered ELSE 0 END,
            CASE WHEN read > old_read THEN read ELSE 0 END
        FROM furthest
        WHERE delivered > old_delivered OR read > old_read
        """

    /// Mutes the conversation $1 for the user $2 until $3 (null: no longer).
    package static let mute: Statement = """
        UPDATE relay.members SET muted_until = $3::timestamptz WHERE conversation = $1 AND user_id = $2
        """
}
