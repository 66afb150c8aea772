"""Each chat knows how many live messages it has; deleted chats can be listed."""

from alembic import op

revision = "0005"
down_revision = "0004"

COLUMN = """
ALTER TABLE mini_chat.chats ADD COLUMN message_count bigint NOT NULL DEFAULT 0 CHECK (message_count >= 0)
"""

# Counted by the database, not by the statements that write: so a process of the version before counts too, and so
# does whoever mends rows by hand. Once per statement: a load of many messages changes each chat once.
COUNT = """
CREATE FUNCTION mini_chat.count_live_messages() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        UPDATE mini_chat.chats AS chat SET message_count = chat.message_count + change.live
        FROM (
            SELECT tenant_id, chat_id, count(*) AS live FROM came WHERE deleted_at IS NULL GROUP BY tenant_id, chat_id
        ) AS change
        WHERE chat.tenant_id = change.tenant_id AND chat.id = change.chat_id;
    ELSIF TG_OP = 'DELETE' THEN
        UPDATE mini_chat.chats AS chat SET message_count = chat.message_count - change.live
        FROM (
            SELECT tenant_id, chat_id, count(*) AS live FROM went WHERE deleted_at IS NULL GROUP BY tenant_id, chat_id
        ) AS change
        WHERE chat.tenant_id = change.tenant_id AND chat.id = change.chat_id;
    ELSE
        UPDATE mini_chat.chats AS chat SET message_count = chat.message_count + change.live
        FROM (
            SELECT tenant_id, chat_id, sum(live) AS live
            FROM (
                SELECT tenant_id, chat_id, 1 AS live FROM came WHERE deleted_at IS NULL
                UNION ALL
                SELECT tenant_id, chat_id, -1 FROM went WHERE deleted_at IS NULL
            ) AS row
            GROUP BY tenant_id, chat_id
            HAVING sum(live) <> 0
        ) AS change
        WHERE chat.tenant_id = change.tenant_id AND chat.id = change.chat_id;
    END IF;
    RETURN NULL;
END $$
"""

COUNTED = (
    """
    CREATE TRIGGER tg_messages_count_inserted AFTER INSERT ON mini_chat.messages
        REFERENCING NEW TABLE AS came
        FOR EACH STATEMENT EXECUTE FUNCTION mini_chat.count_live_messages()
    """,
    """
    CREATE TRIGGER tg_messages_count_updated AFTER UPDATE ON mini_chat.messages
        REFERENCING OLD TABLE AS went NEW TABLE AS came
        FOR EACH STATEMENT EXECUTE FUNCTION mini_chat.count_live_messages()
    """,
    """
    CREATE TRIGGER tg_messages_count_deleted AFTER DELETE ON mini_chat.messages
        REFERENCING OLD TABLE AS went
        FOR EACH STATEMENT EXECUTE FUNCTION mini_chat.count_live_messages()
    """,
)

# Forced row-level security hides every row from the owner too, who migrates. Lifting it locks both tables until the
# commit: nobody meets them without, and nobody writes a message between the count and the trigger.
WITHOUT_WALLS = "ALTER TABLE mini_chat.{table} NO FORCE ROW LEVEL SECURITY"
WITH_WALLS = "ALTER TABLE mini_chat.{table} FORCE ROW LEVEL SECURITY"

BACKFILL = """
UPDATE mini_chat.chats AS chat SET message_count = found.live
FROM (
    SELECT tenant_id, chat_id, count(*) AS live
    FROM mini_chat.messages
    WHERE deleted_at IS NULL
    GROUP BY tenant_id, chat_id
) AS found
WHERE chat.tenant_id = found.tenant_id AND chat.id = found.chat_id
"""

CHATS_DELETED = """
CREATE INDEX ix_chats_deleted ON mini_chat.chats (tenant_id, user_id, updated_at DESC, id DESC)
    WHERE deleted_at IS NOT NULL
"""


def upgrade() -> None:
    op.execute(COLUMN)
    for table in ("chats", "messages"):
        op.execute(WITHOUT_WALLS.format(table=table))
    op.execute(BACKFILL)
    for statement in (COUNT, *COUNTED):
        op.execute(statement)
    for table in ("chats", "messages"):
        op.execute(WITH_WALLS.format(table=table))
    op.execute(CHATS_DELETED)
