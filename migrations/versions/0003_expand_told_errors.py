"""What an `error` event said beside its code, so that a turn can be told again as it was told first."""

from alembic import op

revision = "0003"
down_revision = "0002"

COLUMNS = """
ALTER TABLE mini_chat.chat_turns
    ADD COLUMN retryable      boolean,
    ADD COLUMN retry_after_ms integer CHECK (retry_after_ms >= 0)
"""


def upgrade() -> None:
    op.execute(COLUMNS)
