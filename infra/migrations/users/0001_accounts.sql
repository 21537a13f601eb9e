-- Accounts, their devices and the keys that tokens are made with. Nothing outside the users service reads these tables.

CREATE SCHEMA IF NOT EXISTS users;

CREATE TABLE users.accounts (
    id                   bigint      PRIMARY KEY CHECK (id > 0),
    username             text        COLLATE "C" NOT NULL,  -- folded to lower case
    email                text        NOT NULL,              -- as the user wrote it
    email_key            text        COLLATE "C" NOT NULL,  -- folded: what is unique, and what a login is looked up by
    password             text        NOT NULL,              -- $scrypt$ln=..,r=..,p=..$salt$hash
    display_name         text        NOT NULL,
    avatar               text,
    about                text        NOT NULL DEFAULT '',
    last_seen_visibility smallint    NOT NULL DEFAULT 0 CHECK (last_seen_visibility BETWEEN 0 AND 2),  -- everyone, contacts, nobody
    read_receipts        boolean     NOT NULL DEFAULT true,
    created_at           timestamptz NOT NULL,
    updated_at           timestamptz NOT NULL,
    CONSTRAINT accounts_username UNIQUE (username),
    CONSTRAINT accounts_email UNIQUE (email_key)
);

-- What a search finds an account by: the user name and the display name from each of its words on, folded. A search is
-- a range of this index, in its order; the collation is the byte order, so that a prefix is a range.
CREATE TABLE users.names (
    key     text   COLLATE "C" NOT NULL,
    account bigint NOT NULL REFERENCES users.accounts ON DELETE CASCADE,
    PRIMARY KEY (key, account)
);
CREATE INDEX names_account ON users.names (account, key);

-- A device is what logs in. Its refresh tokens form a family that begins with each login; the token that is good now
-- has `generation`, all before it have been used.
CREATE TABLE users.devices (
    id           bigint      PRIMARY KEY CHECK (id > 0),
    account      bigint      NOT NULL REFERENCES users.accounts ON DELETE CASCADE,
    name         text        NOT NULL,
    family       bigint      NOT NULL,
    generation   bigint      NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL,  -- of the last login or refresh
    revoked_at   timestamptz            -- logged out; a login with this device clears it
);
CREATE INDEX devices_account ON users.devices (account, id) WHERE revoked_at IS NULL;
-- Outlives the next login of the device, which makes no older access token good again.
CREATE TABLE users.revocations (
    device     bigint      NOT NULL,
    revoked_at timestamptz NOT NULL,
    PRIMARY KEY (revoked_at, device)
);

-- Secrets, sealed with a key that is derived from the cluster's shared secret.
CREATE TABLE users.keys (
    kid        text        PRIMARY KEY,
    purpose    text        NOT NULL CHECK (purpose IN ('access', 'ticket', 'refresh')),
    sealed     bytea       NOT NULL,
    created_at timestamptz NOT NULL
);
