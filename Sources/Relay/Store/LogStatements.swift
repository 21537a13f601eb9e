package import Postgres

/// The SQL of the log. Every statement reaches its rows through an index (a test holds each to that) and takes locks in
/// one order: conversations by id, then members by (conversation, user), then sends by (sender, client_id).
package enum LogStatements {
    /// Locks the conversations that a batch appends to. A statement of its own: the next one then has a snapshot that is
    /// younger than the locks, and so sees everything that the lock's earlier holders wrote.
    package static let lock: Statement = """
        SELECT id FROM relay.conversations WHERE id = ANY ($1::bigint[]) ORDER BY id FOR UPDATE
        """

    /// Appends a batch's messages that name nobody: tells what is known already, what may not be, and numbers and stores
    /// the rest. The hot path: what else there is goes through `amend`.
    ///
    /// Parameters: conversations, senders, client ids, bodies, now. Answers a row for each of them: position (from 1),
    /// outcome (`AppendOutcome.Verdict`), conversation, seq, sent_at, membership, ordinal (of what is stored).
    package static let append: Statement = """
        WITH input AS (
            SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bytea[])
                WITH ORDINALITY AS i (conversation, sender, client_id, body, position)
        ), judged AS (
            -- refused is null where the sender is no member
            SELECT i.*, c.head, c.ordinal AS messages, c.active_at, c.membership, m.refused,
                s.conversation AS known_conversation, s.seq AS known_seq
            FROM input i
            LEFT JOIN relay.conversations c ON c.id = i.conversation
            LEFT JOIN relay.members m
                ON m.conversation = i.conversation AND m.user_id = i.sender AND m.left_seq IS NULL
            LEFT JOIN relay.sends s ON s.sender = i.sender AND s.client_id = i.client_id
        ), placed AS (
            SELECT *, head + row_number() OVER w AS seq, messages + row_number() OVER w AS ordinal,
                greatest($5::timestamptz, active_at) AS sent_at
            FROM judged
            WHERE known_seq IS NULL AND NOT refused AND head IS NOT NULL
            WINDOW w AS (PARTITION BY conversation ORDER BY position)
        ), stored AS (
            INSERT INTO relay.events (conversation, seq, ordinal, sender, sent_at, kind, client_id, body)
            SELECT conversation, seq, ordinal, sender, sent_at, 1, client_id, body FROM placed
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
                    count(*) AS messages, max(seq) - min(seq) + 1 = count(*) AS run
                FROM placed GROUP BY conversation, sender ORDER BY conversation, sender
            ) p
            WHERE m.conversation = p.conversation AND m.user_id = p.sender
        )
        SELECT position, 0 AS outcome, conversation, seq, sent_at, membership, ordinal FROM placed
        UNION ALL
        SELECT j.position,
            CASE WHEN j.known_seq IS NOT NULL THEN 1 WHEN j.head IS NULL THEN 2 WHEN j.refused THEN 4 ELSE 3 END,
            coalesce(j.known_conversation, j.conversation), coalesce(j.known_seq, 0), coalesce(e.sent_at, $5),
            coalesce(j.membership, 0), NULL::bigint
        FROM judged j
        LEFT JOIN relay.events e ON e.conversation = j.known_conversation AND e.seq = j.known_seq
        WHERE j.known_seq IS NOT NULL OR j.refused IS NOT FALSE OR j.head IS NULL
        """

    /// Appends messages whose place the relay knows, or does nothing and fails with `division_by_zero`: where a conversation
    /// is not what the relay took it for. What has changed there since is then seen by `append`.
    ///
    /// Parameters: of conversations their ids, heads and memberships as they must be, heads, ordinals and active_ats as they
    /// become (1-6); of events conversations, seqs, ordinals, senders, sent_ats, client ids, bodies (7-13); of senders
    /// conversations, users, the events before their first, their last, its ordinal, how many, whether these follow one
    /// another (14-20). Conversations and senders are in the order of their locks.
    package static let appendKnown: Statement = """
        WITH advanced AS (
            UPDATE relay.conversations c SET head = i.head, ordinal = i.ordinal, active_at = i.active_at
            FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::timestamptz[])
                AS i (id, old_head, membership, head, ordinal, active_at)
            WHERE c.id = i.id AND c.head = i.old_head AND c.membership = i.membership
            RETURNING c.id
        ), stored AS (
            INSERT INTO relay.events (conversation, seq, ordinal, sender, sent_at, kind, client_id, body)
            SELECT conversation, seq, ordinal, sender, sent_at, 1, client_id, body
            FROM unnest(
                $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::timestamptz[], $12::text[], $13::bytea[]
            ) AS i (conversation, seq, ordinal, sender, sent_at, client_id, body)
        ), seen AS (
            -- As in `append`.
            UPDATE relay.members m
            SET read_seq = CASE WHEN p.run AND m.read_seq = p.before THEN p.last ELSE m.read_seq END,
                read_ordinal = CASE WHEN p.run AND m.read_seq = p.before THEN p.ordinal ELSE m.read_ordinal END,
                own_ahead = CASE WHEN p.run AND m.read_seq = p.before THEN 0 ELSE m.own_ahead + p.messages END,
                delivered_seq = CASE WHEN p.run AND m.delivered_seq = p.before THEN p.last ELSE m.delivered_seq END
            FROM unnest(
                $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[], $20::boolean[]
            ) AS p (conversation, sender, before, last, ordinal, messages, run)
            WHERE m.conversation = p.conversation AND m.user_id = p.sender
        ), noted AS (
            INSERT INTO relay.sends (sender, conversation, seq, client_id)
            SELECT sender, conversation, seq, client_id
            FROM unnest($10::bigint[], $7::bigint[], $8::bigint[], $12::text[])
                AS i (sender, conversation, seq, client_id)
            ORDER BY sender, client_id
        )
        SELECT 1 / (count(*) = cardinality($1))::integer FROM advanced
        """

    /// Has the earlier connections of this one's name end, which no other relay has; answers whether there were none left.
    package static let endLostAppends: Statement = """
        WITH lost AS MATERIALIZED (
            SELECT pid FROM pg_stat_activity
            WHERE application_name = current_setting('application_name') AND pid <> pg_backend_pid()
        )
        SELECT count(pg_terminate_backend(pid)) = 0 FROM lost
        """

    /// Who is in conversations ($1) now, and who left them at events ($2) or later: conversation, membership, kind, user,
    /// joined_seq, left_seq.
    package static let members: Statement = """
        SELECT c.id, c.membership, c.kind, m.user_id, m.joined_seq, m.left_seq
        FROM unnest($1::bigint[], $2::bigint[]) AS i (conversation, since)
        JOIN relay.conversations c ON c.id = i.conversation
        JOIN relay.members m ON m.conversation = c.id AND (m.left_seq IS NULL OR m.left_seq >= i.since)
        """

    /// Whether the user $2, who is in the direct conversation $1, is refused there.
    package static let refused: Statement = """
        SELECT refused FROM relay.members WHERE conversation = $1 AND user_id = $2 AND left_seq IS NULL
        """

    /// Refuses (or, $3 false, no longer refuses) what the user $2 says in the conversation $1, which must be locked. That
    /// makes another membership: relays remember by its version who may write.
    package static let refuse: Statement = """
        WITH changed AS (
            UPDATE relay.members SET refused = $3
            WHERE conversation = $1 AND user_id = $2 AND refused <> $3
            RETURNING conversation
        )
        UPDATE relay.conversations c SET membership = membership + 1 FROM changed WHERE c.id = changed.conversation
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

    // MARK: Cursors

    /// Locks the memberships (conversations, users) that a batch of acknowledgements moves.
    package static let lockMembers: Statement = """
        SELECT m.conversation
        FROM unnest($1::bigint[], $2::bigint[]) AS i (conversation, user_id)
        JOIN relay.members m ON m.conversation = i.conversation AND m.user_id = i.user_id
        ORDER BY m.conversation, m.user_id FOR UPDATE OF m
        """

    /// Moves cursors forward: conversations, users, devices, delivered, read (0: not said).
    /// Answers what moved for a user: conversation, user, kind, delivered, read (0: not moved), members.
    package static let acknowledge: Statement = """
        WITH allowed AS (
            SELECT i.conversation, i.user_id, i.device, c.kind, c.member_count,
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
            SELECT conversation, user_id, kind, member_count, old_delivered, old_read,
                greatest(max(delivered), max(read), old_delivered) AS delivered, greatest(max(read), old_read) AS read
            FROM allowed GROUP BY conversation, user_id, kind, member_count, old_delivered, old_read
        ), moved AS (
            UPDATE relay.members m
            SET delivered_seq = f.delivered, read_seq = f.read,
                -- Where the event read is no longer kept, the one after it tells.
                read_ordinal = CASE WHEN f.read > f.old_read THEN coalesce((
                        SELECT e.ordinal - CASE WHEN e.seq > f.read AND e.kind = 1 THEN 1 ELSE 0 END
                        FROM relay.events e WHERE e.conversation = f.conversation AND e.seq >= f.read
                        ORDER BY e.seq LIMIT 1
                    ), m.read_ordinal) ELSE m.read_ordinal END,
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
            CASE WHEN read > old_read THEN read ELSE 0 END, member_count
        FROM furthest
        WHERE delivered > old_delivered OR read > old_read
        """

    /// Mutes the conversation $1 for the user $2 until $3 (null: no longer).
    package static let mute: Statement = """
        UPDATE relay.members SET muted_until = $3::timestamptz WHERE conversation = $1 AND user_id = $2
        """

    /// Gives the device $2 of the user $1 a cursor $3 events before the end of every longer conversation, and at the end of
    /// those that the user has left.
    package static let addDevice: Statement = """
        INSERT INTO relay.cursors (user_id, device, conversation, seq)
        SELECT m.user_id, $2::bigint, m.conversation, coalesce(m.left_seq, c.head - $3::bigint)
        FROM relay.members m
        JOIN relay.conversations c ON c.id = m.conversation
        WHERE m.user_id = $1 AND (m.left_seq IS NOT NULL OR c.head - $3 > m.joined_seq)
        ON CONFLICT DO NOTHING
        """
}
