"""Where the title of a chat comes from, so that no automatic one takes the place of a user's."""

from alembic import op

revision = "0015"
down_revision = "0014"

# Null for chats without a title, and for the titles of processes that know users' titles alone.
CHATS = """
ALTER TABLE mini_chat.chats
    ADD COLUMN title_source text CHECK (title_source IN ('user', 'first_line', 'model'))
"""

# Such a process renames without a word about it: what it writes in the place of a first line is a user's.
RENAMED = (
    """
    CREATE FUNCTION mini_chat.own_title_of_older_process() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.title_source := 'user';
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER tg_chats_own_title BEFORE UPDATE OF title ON mini_chat.chats FOR EACH ROW
        WHEN (NEW.title <> OLD.title AND OLD.title_source = 'first_line' AND NEW.title_source = 'first_line')
        EXECUTE FUNCTION mini_chat.own_title_of_older_process()
    """,
)


def upgrade() -> None:
    for statement in (CHATS, *RENAMED):
        op.execute(statement)
