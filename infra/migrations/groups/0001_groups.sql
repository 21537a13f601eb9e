-- Groups: what they are called, who is in them, who is kept out, who may come in. Nothing outside the groups service reads
-- these tables; what happens here reaches the others through the log.
--
-- Written to be distributed (Citus) by group. Every change of a group is made under its row's lock.

CREATE SCHEMA IF NOT EXISTS groups;

CREATE TABLE groups.groups (
    id            bigint      PRIMARY KEY CHECK (id > 0),  -- the conversation's id as well
    -- The number of the last change that went to the outbox: what orders a group's changes.
    changes       bigint      NOT NULL,
    created_at    timestamptz NOT NULL,
    member_count  integer     NOT NULL CHECK (member_count > 0),
    is_public     boolean     NOT NULL,
    name          text        NOT NULL,
    about         text        NOT NULL,
    avatar        text
) WITH (fillfactor = 80);

CREATE TABLE groups.members (
    group_id   bigint      NOT NULL REFERENCES groups.groups ON DELETE CASCADE,
    user_id    bigint      NOT NULL,
    joined_at  timestamptz NOT NULL,
    role       smallint    NOT NULL CHECK (role BETWEEN 1 AND 3),  -- roost.log.v1.GroupRole: member, admin, owner
    PRIMARY KEY (group_id, user_id)
);
-- The order of a member list: owners, admins, members, each by when they came.
CREATE INDEX members_in_order ON groups.members (group_id, (-role), joined_at, user_id);
-- A user's groups, the one joined last first.
CREATE INDEX members_by_user ON groups.members (user_id, joined_at, group_id);

-- Who may not come in, whether they ever were or not.
CREATE TABLE groups.bans (
    group_id   bigint      NOT NULL REFERENCES groups.groups ON DELETE CASCADE,
    user_id    bigint      NOT NULL,
    banned_by  bigint      NOT NULL,
    banned_at  timestamptz NOT NULL,
    PRIMARY KEY (group_id, user_id)
);
CREATE INDEX bans_in_order ON groups.bans (group_id, banned_at, user_id);

-- A code lets whoever has it in. It is stored as it is, not hashed: admins want to look a link up again, and who can read
-- this database can read all that the group says without it.
CREATE TABLE groups.invites (
    code        text        COLLATE "C" PRIMARY KEY,  -- 128 random bits, base64url
    group_id    bigint      NOT NULL REFERENCES groups.groups ON DELETE CASCADE,
    created_by  bigint      NOT NULL,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz,                          -- null: never
    max_uses    integer     CHECK (max_uses > 0),     -- null: any number
    uses        integer     NOT NULL DEFAULT 0
);
CREATE INDEX invites_in_order ON groups.invites (group_id, created_at, code);

-- What a search finds a public group by: its name from each of its words on, folded. A private group has none.
CREATE TABLE groups.names (
    key       text   COLLATE "C" NOT NULL,
    group_id  bigint NOT NULL REFERENCES groups.groups ON DELETE CASCADE,
    PRIMARY KEY (key, group_id)
);
CREATE INDEX names_by_group ON groups.names (group_id, key);

-- Changes that the log may not have yet. Written in the transaction that makes the change, taken away once it was appended.
-- Outlives its group: the deletion is the last change of all.
CREATE TABLE groups.outbox (
    group_id    bigint      NOT NULL,
    number      bigint      NOT NULL,
    created_at  timestamptz NOT NULL,
    request     bytea       NOT NULL,  -- roost.relay.v1.ChangeGroupRequest, serialized
    PRIMARY KEY (group_id, number)
);
