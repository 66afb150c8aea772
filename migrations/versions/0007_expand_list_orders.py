"""Lists in the order of creation, and lower case that is the same in a database of any locale."""

from alembic import op

revision = "0007"
down_revision = "0006"

CHATS_CREATED = """
CREATE INDEX ix_chats_created ON mini_chat.chats (tenant_id, user_id, created_at, id)
    WHERE deleted_at IS NULL
"""

# Ties are decided by seq, not by id, which the index had: with it no page could start in the middle of a tie.
MESSAGES_CREATED = (
    "DROP INDEX mini_chat.ix_messages_created",
    """
    CREATE INDEX ix_messages_created ON mini_chat.messages (tenant_id, chat_id, created_at, seq)
        WHERE deleted_at IS NULL
    """,
)

# Which letters are one another's small and large form is asked of Unicode, not of the locale the database happens to
# have: in a Turkish one I is not i's, in C only English has letters. The server's own tables from version 17 on, the
# system's C.UTF-8 before; ICU where a system has none.
LETTERS = """
DO $$
BEGIN
    IF current_setting('server_version_num')::integer >= 170000 THEN
        CREATE COLLATION mini_chat.letters (provider = builtin, locale = 'C.UTF-8');
        RETURN;
    END IF;
    BEGIN
        CREATE COLLATION mini_chat.letters (provider = libc, locale = 'C.UTF-8');
    EXCEPTION WHEN invalid_parameter_value OR undefined_object THEN
        CREATE COLLATION mini_chat.letters (provider = icu, locale = 'und');
    END;
END $$
"""


def upgrade() -> None:
    for statement in (CHATS_CREATED, *MESSAGES_CREATED, LETTERS):
        op.execute(statement)
