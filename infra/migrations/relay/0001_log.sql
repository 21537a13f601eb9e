-- The log: conversations, who is in them, what happened in them, and how far each device has got.
--
-- Written to be distributed (Citus, create_distributed_table): `conversations`, `members` and `events` by conversation,
-- `cursors` by user, `sends` by sender, `directs` by its lower user. Every unique index holds its table's distribution
-- column, which is why a client's own id is kept unique by `sends` and not by an index of `events`. No foreign
-- keys: each would cost the path of a message an index look-up and a row lock, and the relay writes every row itself.

CREATE SCHEMA IF NOT EXISTS relay;

CREATE TABLE relay.conversations (
    id          bigint PRIMARY KEY,
    -- seq of the last event. Whoever appends holds this row's lock: that is what numbers events without a gap.
    head        bigint NOT NULL DEFAULT 0,
    -- Messages so far: the ordinal of the event at `head`.
    ordinal     bigint NOT NULL DEFAULT 0,
    -- Events up to this one are no longer kept.
    floor       bigint NOT NULL DEFAULT 0,
    -- Counts changes of `members`, so that a relay knows whether the members that it remembers still hold.
    membership  bigint NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL,
    -- sent_at of the event at `head`; until there is one, created_at.
    active_at   timestamptz NOT NULL,
    kind        smallint NOT NULL CHECK (kind IN (1, 2))  -- roost.relay.v1.ConversationKind: direct, group
) WITH (fillfactor = 70);  -- room for HOT updates: no index holds what an append changes

-- The one direct conversation of two users (or of one with themself).
CREATE TABLE relay.directs (
    low_user      bigint NOT NULL,
    high_user     bigint NOT NULL CHECK (high_user >= low_user),
    conversation  bigint NOT NULL,
    PRIMARY KEY (low_user, high_user)
);

-- Who is in a conversation, and who was. A member sees the events after joined_seq and up to left_seq.
CREATE TABLE relay.members (
    conversation   bigint NOT NULL,
    user_id        bigint NOT NULL,
    joined_seq     bigint NOT NULL DEFAULT 0,
    left_seq       bigint,                     -- null: still in
    delivered_seq  bigint NOT NULL DEFAULT 0,  -- the furthest of the user's devices
    read_seq       bigint NOT NULL DEFAULT 0,
    -- The ordinal of the event at read_seq, and how many messages after it are the user's own: messages unread are
    -- conversations.ordinal - read_ordinal - own_ahead.
    read_ordinal   bigint NOT NULL DEFAULT 0,
    own_ahead      bigint NOT NULL DEFAULT 0,
    muted_until    timestamptz,
    PRIMARY KEY (conversation, user_id)
) WITH (fillfactor = 70);

CREATE INDEX members_by_user ON relay.members (user_id, conversation);

-- What happened. (conversation, seq) identifies an event for ever.
CREATE TABLE relay.events (
    conversation  bigint NOT NULL,
    seq           bigint NOT NULL,
    ordinal       bigint NOT NULL,  -- messages up to and including this event
    sender        bigint NOT NULL,
    sent_at       timestamptz NOT NULL,
    -- The transaction that wrote it. A consumer reads only below the oldest one still running (pg_snapshot_xmin): what
    -- commits late is then never skipped.
    xid           xid8 NOT NULL DEFAULT pg_current_xact_id(),
    target        bigint,           -- seq of the message that this event amends
    kind          smallint NOT NULL,  -- roost.log.v1.EventKind
    removed       boolean NOT NULL DEFAULT false,
    client_id     text,
    emoji         text,
    body          bytea,            -- roost.log.v1.Body, serialized
    PRIMARY KEY (conversation, seq)
);

-- What made an event: a sender's own id of it, once for ever.
CREATE TABLE relay.sends (
    sender        bigint NOT NULL,
    conversation  bigint NOT NULL,
    seq           bigint NOT NULL,
    client_id     text NOT NULL,
    PRIMARY KEY (sender, client_id)
);

-- What a device has acknowledged.
CREATE TABLE relay.cursors (
    user_id       bigint NOT NULL,
    device        bigint NOT NULL,
    conversation  bigint NOT NULL,
    seq           bigint NOT NULL,
    PRIMARY KEY (user_id, device, conversation)
) WITH (fillfactor = 70);
