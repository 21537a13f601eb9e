import ChatModel
package import Postgres

extension LogStatements {
    /// Appends what is more than a plain message: edits, deletions, reactions, and messages that name members; amends what
    /// they amend. Sees what `append` and its own earlier rounds did in the same transaction.
    ///
    /// In one round nothing is done twice to the same message, but for reactions of different users or with different emojis.
    /// Parameters: conversations, senders, client ids, kinds, bodies, targets, emojis, removed, greatest ages of what may be
    /// edited (milliseconds; 0: any), users mentioned (each an array's text), now. Answers as `append`.
    package static let amend = Statement(
        """
        WITH input AS (
            SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::smallint[], $5::bytea[], $6::bigint[],
                $7::text[], $8::boolean[], $9::bigint[], $10::text[])
                WITH ORDINALITY AS i (conversation, sender, client_id, kind, body, target, emoji, removed, within,
                    mentions, position)
        ), found AS (
            SELECT i.*, c.head, c.ordinal AS messages, c.active_at, c.membership, c.kind AS conversation_kind,
                m.role, m.refused, t.sender AS author, t.sent_at AS target_at, t.deleted_at, r.removed AS taken_back,
                k.conversation AS known_conversation, k.seq AS known_seq
            FROM input i
            LEFT JOIN relay.conversations c ON c.id = i.conversation
            LEFT JOIN relay.members m
                ON m.conversation = i.conversation AND m.user_id = i.sender AND m.left_seq IS NULL
            LEFT JOIN relay.events t
                ON t.conversation = i.conversation AND t.seq = i.target AND t.kind = 1
                    -- What one wrote before one left and came back one can still take back.
                    AND (t.seq > m.joined_seq OR i.kind = 3 AND t.sender = i.sender)
            LEFT JOIN relay.reactions r
                ON i.kind = 4 AND r.conversation = i.conversation AND r.target = i.target AND r.user_id = i.sender
                    AND r.emoji = i.emoji
            LEFT JOIN LATERAL (
                -- The event that this one would repeat.
                SELECT s.conversation, s.seq FROM relay.sends s
                WHERE i.kind = 1 AND s.sender = i.sender AND s.client_id = i.client_id
                UNION ALL (
                    -- Without a client_id an edit repeats the last one if it changes nothing.
                    SELECT e.conversation, e.seq FROM relay.events e
                    WHERE i.kind = 2 AND e.conversation = i.conversation AND e.target = i.target AND e.kind = 2
                        AND e.sender = i.sender AND CASE WHEN i.client_id IS NULL
                            THEN t.edited_at IS NOT NULL AND t.body = i.body
                            -- Refs may start again: one that said this, but not last, was another edit.
                            ELSE e.client_id = i.client_id AND e.body = i.body AND t.body = i.body END
                    ORDER BY e.seq DESC LIMIT 1
                )
                UNION ALL (
                    SELECT e.conversation, e.seq FROM relay.events e
                    WHERE i.kind = 3 AND t.deleted_at IS NOT NULL AND e.conversation = i.conversation
                        AND e.target = i.target AND e.kind = 3
                    ORDER BY e.seq DESC LIMIT 1
                )
                UNION ALL
                SELECT r.conversation, r.seq WHERE r.removed = i.removed
            ) k ON true
        ), judged AS (
            SELECT *, CASE
                WHEN kind = 1 AND known_seq IS NOT NULL THEN 1
                WHEN head IS NULL THEN 2
                WHEN refused IS NULL THEN 3
                -- Who is refused may still take back.
                WHEN refused AND NOT (kind = 3 OR kind = 4 AND removed) THEN 4
                WHEN kind = 1 THEN 0
                WHEN author IS NULL THEN 5
                WHEN kind = 2 AND author <> sender THEN 7
                WHEN kind = 3 AND author <> sender AND NOT (conversation_kind = 2 AND role >= 2) THEN 7
                WHEN known_seq IS NOT NULL THEN 1
                WHEN deleted_at IS NOT NULL THEN 6
                WHEN kind = 2 AND within > 0 AND target_at < $11::timestamptz - within * interval '1 ms' THEN 8
                WHEN kind = 4 AND removed AND taken_back IS NULL THEN 9
                WHEN kind = 4 AND taken_back IS NULL AND (
                    SELECT count(*) FROM relay.reactions o
                    WHERE o.conversation = found.conversation AND o.target = found.target AND o.user_id = found.sender
                ) >= \(Limits.reactionsPerUser) THEN 10
                ELSE 0 END AS outcome
            FROM found
        ), placed AS (
            SELECT *, head + row_number() OVER w AS seq, messages + count(*) FILTER (WHERE kind = 1) OVER w AS ordinal,
                greatest($11::timestamptz, active_at) AS sent_at
            FROM judged
            WHERE outcome = 0
            WINDOW w AS (PARTITION BY conversation ORDER BY position)
        ), stored AS (
            INSERT INTO relay.events
                (conversation, seq, ordinal, sender, sent_at, target, kind, removed, client_id, emoji, body)
            SELECT conversation, seq, ordinal, sender, sent_at, target, kind, removed, client_id, emoji, body
            FROM placed
        ), noted AS (
            INSERT INTO relay.sends (sender, conversation, seq, client_id)
            SELECT sender, conversation, seq, client_id FROM placed
            WHERE kind = 1 AND client_id IS NOT NULL ORDER BY sender, client_id
        ), amended AS (
            UPDATE relay.events t
            SET body = CASE WHEN p.kind = 2 THEN p.body END,
                edited_at = CASE WHEN p.kind = 2 THEN p.sent_at ELSE t.edited_at END,
                deleted_at = CASE WHEN p.kind = 3 THEN p.sent_at END
            FROM placed p
            WHERE p.kind IN (2, 3) AND t.conversation = p.conversation AND t.seq = p.target
        ), erased AS (
            UPDATE relay.events e SET body = NULL, deleted_at = p.sent_at
            FROM placed p
            WHERE p.kind = 3 AND e.conversation = p.conversation AND e.target = p.target AND e.kind = 2
        ), reacted AS (
            INSERT INTO relay.reactions (conversation, target, user_id, seq, removed, emoji)
            SELECT conversation, target, sender, seq, removed, emoji FROM placed WHERE kind = 4
            ON CONFLICT (conversation, target, user_id, emoji)
                DO UPDATE SET seq = excluded.seq, removed = excluded.removed
        ), unreacted AS (
            DELETE FROM relay.reactions r USING placed p
            WHERE p.kind = 3 AND r.conversation = p.conversation AND r.target = p.target
        ), unmentioned AS (
            DELETE FROM relay.mentions n USING placed p
            WHERE p.kind IN (2, 3) AND n.conversation = p.conversation AND n.seq = p.target
                AND n.user_id <> ALL (coalesce(p.mentions, '{}')::bigint[])
        ), mentioned AS (
            -- Of the users named those who can see it; oneself needs no telling.
            INSERT INTO relay.mentions (conversation, user_id, seq)
            SELECT p.conversation, m.user_id, coalesce(p.target, p.seq)
            FROM placed p
            CROSS JOIN LATERAL unnest(p.mentions::bigint[]) AS u (id)
            JOIN relay.members m ON m.conversation = p.conversation AND m.user_id = u.id AND m.left_seq IS NULL
            WHERE p.kind IN (1, 2) AND u.id <> p.sender AND m.joined_seq < coalesce(p.target, p.seq)
            ON CONFLICT DO NOTHING
        ), advanced AS (
            UPDATE relay.conversations c SET head = p.seq, ordinal = p.ordinal, active_at = p.sent_at
            FROM (
                SELECT conversation, max(seq) AS seq, max(ordinal) AS ordinal, max(sent_at) AS sent_at
                FROM placed GROUP BY conversation
            ) p
            WHERE c.id = p.conversation
        ), seen AS (
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
        SELECT j.position, j.outcome, coalesce(j.known_conversation, j.conversation), coalesce(j.known_seq, 0),
            coalesce(e.sent_at, $11), coalesce(j.membership, 0)
        FROM judged j
        LEFT JOIN relay.events e ON e.conversation = j.known_conversation AND e.seq = j.known_seq
        WHERE j.outcome > 0
        """)
}
