-- The index of what was said, written by a consumer of the log (Sources/LogConsumer) that both roles, messages and
-- group-messages, run. It holds no text: what a search finds is read from the log, in its present state.
--
-- Written to be distributed by conversation, as the log is: every unique index holds that column.

-- Conversations are numbers; with this a GIN index can hold them beside the words. It is one of the extensions that the
-- database's owner may install.
CREATE EXTENSION IF NOT EXISTS btree_gin;

CREATE TABLE search.documents (
    conversation  bigint NOT NULL,
    seq           bigint NOT NULL,
    sender        bigint NOT NULL,
    sent_at       timestamptz NOT NULL,
    tsv           tsvector NOT NULL,
    -- In this order, so that it is of no use for a whole conversation: a search then always goes through the words.
    PRIMARY KEY (seq, conversation)
);

-- A small list of pending entries: a batch costs a third of what it does without one, and a search reads little more.
CREATE INDEX documents_words ON search.documents USING gin (conversation, tsv)
    WITH (fastupdate = on, gin_pending_list_limit = 256);

-- The text search configuration that `tsv` was made with; empty: none yet.
CREATE TABLE search.settings (
    singleton  boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    language   text NOT NULL
);
INSERT INTO search.settings (language) VALUES ('');

-- How far the consumer is; see Sources/LogConsumer/README.md.
CREATE TABLE search.shards (
    shard         bigint PRIMARY KEY,
    transaction   bigint NOT NULL DEFAULT 0,
    conversation  bigint NOT NULL DEFAULT 0,
    seq           bigint NOT NULL DEFAULT 0,
    leased_until  timestamptz,
    owner         text
) WITH (fillfactor = 50);
INSERT INTO search.shards (shard) SELECT generate_series(0, 7);

CREATE TABLE search.instances (
    instance    text PRIMARY KEY,
    seen_until  timestamptz NOT NULL
) WITH (fillfactor = 50);
