"""Tool calls: how many each turn completed, and who may see where some are held."""

from alembic import op

revision = "0011"
down_revision = "0010"

# Null for turns that run, and for those of processes that did not count.
TURNS = """
ALTER TABLE mini_chat.chat_turns
    ADD COLUMN web_search_calls       integer CHECK (web_search_calls >= 0),
    ADD COLUMN code_interpreter_calls integer CHECK (code_interpreter_calls >= 0),
    ADD COLUMN file_search_calls      integer CHECK (file_search_calls >= 0)
"""

# Across tenants: which tools running turns have, and where calls are held though no credits are.
OPS = (
    "GRANT SELECT (web_search_held, code_interpreter_held) ON mini_chat.chat_turns TO mini_chat_ops",
    "GRANT SELECT (web_search_held, code_interpreter_held) ON mini_chat.quota_buckets TO mini_chat_ops",
    """
    ALTER POLICY ops_see_held ON mini_chat.quota_buckets
        USING (reserved_micro > 0 OR web_search_held > 0 OR code_interpreter_held > 0)
    """,
)


def upgrade() -> None:
    for statement in (TURNS, *OPS):
        op.execute(statement)
