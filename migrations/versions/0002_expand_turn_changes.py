"""Turns that are deleted, replaced or cancelled on request."""

from alembic import op

revision = "0002"
down_revision = "0001"

COLUMNS = """
ALTER TABLE mini_chat.chat_turns
    ADD COLUMN web_search             boolean     NOT NULL DEFAULT false,
    ADD COLUMN deleted_at             timestamptz,
    ADD COLUMN replaced_by_request_id uuid,
    ADD COLUMN upstream_closed_ms     integer     CHECK (upstream_closed_ms >= 0),
    ADD CONSTRAINT ck_turns_deleted CHECK (deleted_at IS NULL OR state <> 'running'),
    ADD CONSTRAINT ck_turns_replaced CHECK (replaced_by_request_id IS NULL OR deleted_at IS NOT NULL)
"""

# What an ended turn came to stays as it is; only that it is gone, and for which other, may be told later.
FREEZE = (
    "DROP TRIGGER tg_turns_frozen ON mini_chat.chat_turns",
    """
    CREATE TRIGGER tg_turns_frozen BEFORE UPDATE ON mini_chat.chat_turns FOR EACH ROW
        WHEN (OLD.state <> 'running'
              AND to_jsonb(OLD) - '{deleted_at,replaced_by_request_id}'::text[]
                  IS DISTINCT FROM to_jsonb(NEW) - '{deleted_at,replaced_by_request_id}'::text[])
        EXECUTE FUNCTION mini_chat.refuse_change_of_ended_turn()
    """,
)


def upgrade() -> None:
    for statement in (COLUMNS, *FREEZE):
        op.execute(statement)
