"""Dead jobs are counted without looking at those that wait."""

from alembic import op

revision = "0012"
down_revision = "0011"

DEAD = "CREATE INDEX ix_jobs_dead ON mini_chat.jobs (entrypoint, updated) WHERE status = 'failed'"


def upgrade() -> None:
    op.execute(DEAD)
