"""Summaries of what conversations have outgrown, and what each turn's prompt was made of."""

from alembic import op

revision = "0010"
down_revision = "0009"

# Null for turns of processes that did not tell.
TURNS = """
ALTER TABLE mini_chat.chat_turns
    ADD COLUMN plan_tokens     integer CHECK (plan_tokens >= 0),
    ADD COLUMN turns_dropped   integer CHECK (turns_dropped >= 0),
    ADD COLUMN summary_applied boolean
"""

# An empty one covers nothing. Its row stays, for its version must never come back: whoever began with an older one
# would not learn that it was forgotten meanwhile.
SUMMARIES = """
CREATE TABLE mini_chat.thread_summaries (
    tenant_id      uuid        NOT NULL,
    chat_id        uuid        NOT NULL,
    version        bigint      NOT NULL CHECK (version >= 1),
    body           text        NOT NULL CHECK (octet_length(body) <= 8192),
    covers_seq     bigint      NOT NULL CHECK (covers_seq >= 0),
    token_estimate integer     NOT NULL CHECK (token_estimate >= 0),
    model          text        NOT NULL,
    updated_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, chat_id),
    CONSTRAINT fk_summaries_chat FOREIGN KEY (tenant_id, chat_id) REFERENCES mini_chat.chats (tenant_id, id),
    CONSTRAINT ck_summaries_empty CHECK ((body = '') = (covers_seq = 0))
)
"""

# In a statement of its own, hence after the chat is locked: it sees a summary that was stored while the removal
# waited, which the removal's own snapshot is too old to show.
FORGOTTEN = (
    """
    CREATE FUNCTION mini_chat.forget_summary_of_removed_turn() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE mini_chat.thread_summaries
        SET body = '', covers_seq = 0, token_estimate = 0, version = version + 1, updated_at = now()
        WHERE tenant_id = NEW.tenant_id AND chat_id = NEW.chat_id AND covers_seq >= NEW.user_seq;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER tg_turns_forget_summary AFTER UPDATE ON mini_chat.chat_turns FOR EACH ROW
        WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL)
        EXECUTE FUNCTION mini_chat.forget_summary_of_removed_turn()
    """,
)

BEHIND_ITS_TENANT = (
    "ALTER TABLE mini_chat.thread_summaries ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
    """
    CREATE POLICY tenant_rows ON mini_chat.thread_summaries TO mini_chat_app
        USING (tenant_id = (select nullif(current_setting('app.tenant', true), '')::uuid))
        WITH CHECK (tenant_id = (select nullif(current_setting('app.tenant', true), '')::uuid))
    """,
    "GRANT SELECT, INSERT, UPDATE ON mini_chat.thread_summaries TO mini_chat_app",
)


def upgrade() -> None:
    for statement in (TURNS, SUMMARIES, *FORGOTTEN, *BEHIND_ITS_TENANT):
        op.execute(statement)
