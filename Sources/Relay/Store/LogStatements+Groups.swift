package import Postgres

extension LogStatements {
    /// Makes the conversation $1 of a group at $2 where there is none.
    package static let makeGroup: Statement = """
        INSERT INTO relay.conversations (id, kind, created_at, active_at)
        VALUES ($1::bigint, 2, $2::timestamptz, $2::timestamptz) ON CONFLICT DO NOTHING
        """

    /// Changes a group whose conversation and members are locked: an event for each change that changes something.
    ///
    /// Parameters: conversation, sender, change_id, what the group is called (a `LogGroup`; null: unchanged), whether that
    /// ends it, then of the members changed, each once: users, changes (`LogMemberChange`), roles, bodies (`LogMember`s); now.
    /// Answers a row for each event (position 0: the group, from 1: the members) and one at position -1 for the whole:
    /// position, outcome (`AppendOutcome.Verdict`), seq (of the whole: the last), sent_at, membership, and, of what was known
    /// before, the seq of its first event.
    package static let changeGroup: Statement = """
        WITH known AS (
            SELECT s.conversation, s.seq FROM relay.sends s WHERE s.sender = $2::bigint AND s.client_id = $3::text
        ), base AS (
            SELECT c.id, c.head, c.ordinal, c.membership, c.member_count, c.info,
                greatest($10::timestamptz, c.active_at) AS sent_at
            FROM relay.conversations c
            WHERE c.id = $1::bigint AND c.kind = 2 AND NOT EXISTS (SELECT FROM known)
        ), input AS (
            SELECT 0::bigint AS position, NULL::bigint AS user_id, 0::smallint AS change, 0::smallint AS role,
                $4::bytea AS body
            WHERE $4 IS NOT NULL
            UNION ALL
            SELECT i.position, i.user_id, i.change, i.role, i.body
            FROM unnest($6::bigint[], $7::smallint[], $8::smallint[], $9::bytea[])
                WITH ORDINALITY AS i (user_id, change, role, body, position)
        ), placed AS (
            SELECT i.*, b.id AS conversation, b.ordinal, b.sent_at, b.head + row_number() OVER (ORDER BY i.position) AS seq,
                b.head = 0 AS is_first
            FROM base b
            CROSS JOIN input i
            LEFT JOIN relay.members m ON m.conversation = b.id AND m.user_id = i.user_id
            WHERE CASE i.change
                WHEN 0 THEN b.info IS DISTINCT FROM i.body
                WHEN 1 THEN m.user_id IS NULL OR m.left_seq IS NOT NULL
                WHEN 5 THEN m.left_seq IS NULL AND m.role <> i.role
                ELSE m.user_id IS NOT NULL AND m.left_seq IS NULL END
        ), total AS (
            SELECT count(*) AS events, coalesce(bool_or(change > 0 OR $5::boolean), false)::integer AS moves,
                count(*) FILTER (WHERE change = 1) - count(*) FILTER (WHERE change IN (2, 3, 4)) AS joined
            FROM placed
        ), stored AS (
            INSERT INTO relay.events (conversation, seq, ordinal, sender, sent_at, kind, body)
            SELECT conversation, seq, ordinal, $2, sent_at, CASE WHEN change = 0 THEN 6 ELSE 5 END, body FROM placed
        ), noted AS (
            INSERT INTO relay.sends (sender, conversation, seq, client_id)
            SELECT $2, b.id, b.head + t.events, $3 FROM base b, total t
        ), joined AS (
            -- Who is there when it is made sees all of it. Nothing is unread to begin with.
            INSERT INTO relay.members AS m
                (conversation, user_id, joined_seq, delivered_seq, read_seq, read_ordinal, role)
            SELECT conversation, user_id, s.before, s.before, s.before, ordinal, role
            FROM placed, LATERAL (SELECT CASE WHEN is_first THEN 0 ELSE seq - 1 END AS before) s
            WHERE change = 1
            ON CONFLICT (conversation, user_id) DO UPDATE
            SET joined_seq = excluded.joined_seq, left_seq = NULL, delivered_seq = excluded.delivered_seq,
                read_seq = excluded.read_seq, read_ordinal = excluded.read_ordinal, own_ahead = 0, role = excluded.role
        ), changed AS (
            UPDATE relay.members m
            SET left_seq = CASE WHEN p.change <> 5 THEN p.seq END,
                role = CASE WHEN p.change = 5 THEN p.role ELSE m.role END
            FROM placed p
            WHERE p.change > 1 AND m.conversation = p.conversation AND m.user_id = p.user_id
        ), closed AS (
            UPDATE relay.members m SET left_seq = p.seq
            FROM placed p
            WHERE $5 AND p.change = 0 AND m.conversation = p.conversation AND m.left_seq IS NULL
        ), advanced AS (
            UPDATE relay.conversations c
            SET head = b.head + t.events, active_at = b.sent_at, membership = b.membership + t.moves,
                member_count = CASE WHEN $5 THEN 0 ELSE b.member_count + t.joined END, info = coalesce($4, b.info)
            FROM base b, total t
            WHERE c.id = b.id AND t.events > 0
        )
        SELECT p.position, 0 AS outcome, p.seq, p.sent_at, b.membership + t.moves AS membership, NULL::bigint AS first
        FROM placed p, base b, total t
        UNION ALL
        SELECT -1, 0, b.head + t.events, b.sent_at, b.membership + t.moves, NULL FROM base b, total t
        UNION ALL
        SELECT -1, 1, k.seq, $10, 0, (
                SELECT min(e.seq) FROM relay.events l
                JOIN relay.events e ON e.xid = l.xid AND e.conversation = l.conversation
                WHERE l.conversation = k.conversation AND l.seq = k.seq
            )
        FROM known k
        """
}
