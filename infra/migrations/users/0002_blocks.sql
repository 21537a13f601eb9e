-- Whom a user has blocked: what they say to the user in private is refused by the relay, which has its own note of it.
CREATE TABLE users.blocks (
    account bigint      NOT NULL REFERENCES users.accounts ON DELETE CASCADE,
    blocked bigint      NOT NULL REFERENCES users.accounts ON DELETE CASCADE,
    since   timestamptz NOT NULL,
    PRIMARY KEY (account, blocked),
    CHECK (account <> blocked)
);
