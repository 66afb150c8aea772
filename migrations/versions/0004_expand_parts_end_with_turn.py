"""Saved parts of an answer go in the moment their turn stops running."""

from alembic import op

revision = "0004"
down_revision = "0003"

# In a statement of its own, hence after the turn is locked: it sees the parts of a save that the ending waited for,
# which the ending's own snapshot is too old to show.
PARTS_GO = (
    """
    CREATE FUNCTION mini_chat.forget_parts_of_ended_turn() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        DELETE FROM mini_chat.turn_parts WHERE tenant_id = NEW.tenant_id AND turn_id = NEW.id;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER tg_turns_forget_parts AFTER UPDATE ON mini_chat.chat_turns FOR EACH ROW
        WHEN (OLD.state = 'running' AND NEW.state <> 'running')
        EXECUTE FUNCTION mini_chat.forget_parts_of_ended_turn()
    """,
)


def upgrade() -> None:
    for statement in PARTS_GO:
        op.execute(statement)
