-- Groups, and what one does with a message after it was sent.

ALTER TABLE relay.conversations
    ADD COLUMN member_count  integer NOT NULL DEFAULT 0,  -- of a group, who is in it now
    ADD COLUMN info          bytea;                       -- of a group, how it is called now: roost.log.v1.Group

ALTER TABLE relay.members
    ADD COLUMN role     smallint NOT NULL DEFAULT 1,     -- roost.log.v1.GroupRole
    -- Of a direct conversation: the other user has blocked this one, whose messages are refused.
    ADD COLUMN refused  boolean NOT NULL DEFAULT false;

-- Of a message: when its text was last changed, and when it was deleted. What is deleted has no body, nor has any edit of it.
ALTER TABLE relay.events
    ADD COLUMN edited_at   timestamptz,
    ADD COLUMN deleted_at  timestamptz;

-- What was done with a message.
CREATE INDEX events_by_target ON relay.events (conversation, target, seq) WHERE target IS NOT NULL;

-- The order in which consumers follow the log.
CREATE INDEX events_by_transaction ON relay.events (xid, conversation, seq);

-- Who reacted to a message with what, and the event that said so last. A reaction that was taken back keeps its row.
CREATE TABLE relay.reactions (
    conversation  bigint NOT NULL,
    target        bigint NOT NULL,  -- seq of the message
    user_id       bigint NOT NULL,
    seq           bigint NOT NULL,
    removed       boolean NOT NULL,
    emoji         text COLLATE "C" NOT NULL,
    PRIMARY KEY (conversation, target, user_id, emoji)
) WITH (fillfactor = 70);

-- Messages that name a member, so that those unread can be counted. Few messages have any.
CREATE TABLE relay.mentions (
    conversation  bigint NOT NULL,
    user_id       bigint NOT NULL,
    seq           bigint NOT NULL,
    PRIMARY KEY (conversation, user_id, seq)
);
CREATE INDEX mentions_by_message ON relay.mentions (conversation, seq);
