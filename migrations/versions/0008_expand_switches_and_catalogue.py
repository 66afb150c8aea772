"""What operators change at run time: kill switches, models turned on and off, and the catalogues that were in force."""

from alembic import op

revision = "0008"
down_revision = "0007"

# Rows are only ever added, and the newest of a switch rules. Whoever adds one holds the lock of all of them, so
# revisions are committed in their order, and a process that knows the newest has missed none.
KILL_SWITCHES = """
CREATE TABLE mini_chat.kill_switches (
    revision    bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          uuid        NOT NULL,
    scope       text        NOT NULL CHECK (scope IN ('global', 'tenant', 'model', 'provider', 'tool', 'feature')),
    target      text        NOT NULL,
    version     bigint      NOT NULL CHECK (version >= 1),
    mode        text        NOT NULL CHECK (mode IN ('admission', 'abort')),
    reason      text        NOT NULL,
    created_by  uuid        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz,
    cleared_by  uuid,
    cleared_at  timestamptz,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT ux_kill_switches_version UNIQUE (scope, target, version),
    CONSTRAINT ux_kill_switches_id UNIQUE (id, version),
    CONSTRAINT ck_kill_switches_target CHECK ((scope = 'global') = (target = '*')),
    CONSTRAINT ck_kill_switches_cleared CHECK ((cleared_at IS NULL) = (cleared_by IS NULL))
)
"""

MODEL_OVERRIDES = """
CREATE TABLE mini_chat.model_overrides (
    revision   bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model_id   text        NOT NULL,
    version    bigint      NOT NULL CHECK (version >= 1),
    enabled    boolean     NOT NULL,
    created_by uuid        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ux_model_overrides_version UNIQUE (model_id, version)
)
"""

POLICY_SNAPSHOTS = """
CREATE TABLE mini_chat.policy_snapshots (
    version   bigint      PRIMARY KEY,
    sha256    bytea       NOT NULL CHECK (octet_length(sha256) = 32),
    body      jsonb       NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ux_policy_snapshots_sha256 UNIQUE (sha256)
)
"""

# Operators see which turns run, and when text of theirs was last saved: no content.
GRANTS = (
    """
    GRANT SELECT, INSERT
        ON mini_chat.kill_switches, mini_chat.model_overrides, mini_chat.policy_snapshots TO mini_chat_app
    """,
    """
    GRANT SELECT (request_id, effective_model, provider_id, web_search, on_disconnect, started_at)
        ON mini_chat.chat_turns TO mini_chat_ops
    """,
    "GRANT SELECT (tenant_id, turn_id, created_at) ON mini_chat.turn_parts TO mini_chat_ops",
    "CREATE POLICY ops_see_when_saved ON mini_chat.turn_parts FOR SELECT TO mini_chat_ops USING (true)",
)


def upgrade() -> None:
    for statement in (KILL_SWITCHES, MODEL_OVERRIDES, POLICY_SNAPSHOTS, *GRANTS):
        op.execute(statement)
