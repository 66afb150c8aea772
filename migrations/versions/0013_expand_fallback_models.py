"""Which model may answer a turn instead, which one it went over from, and what its provider calls the answer."""

from alembic import op

revision = "0013"
down_revision = "0012"

TURNS = """
ALTER TABLE mini_chat.chat_turns
    ADD COLUMN fallback_model       text,
    ADD COLUMN went_over_from       text CHECK (went_over_from IS NULL OR fallback_model IS NOT NULL),
    ADD COLUMN provider_response_id text CHECK (char_length(provider_response_id) <= 256)
"""


def upgrade() -> None:
    op.execute(TURNS)
