"""Sums of usage over a span of time read the ledger of that time, not all of it."""

from alembic import op

revision = "0014"
down_revision = "0013"

# The ledger only grows, so rows that lie together were settled together: what is remembered of each range of pages
# costs an insert next to nothing. The tenant is in front because everything's is; it is time that narrows.
SETTLED = """
CREATE INDEX ix_ledger_time ON mini_chat.ledger_entries USING brin (tenant_id, created_at)
    WITH (pages_per_range = 32, autosummarize = on)
"""


def upgrade() -> None:
    op.execute(SETTLED)
