"""Chats, their messages, the turns that write them, and the text saved while a turn runs."""

from alembic import op

revision = "0001"
down_revision = None

CHATS = """
CREATE TABLE mini_chat.chats (
    tenant_id    uuid         NOT NULL,
    id           uuid         NOT NULL,
    user_id      uuid         NOT NULL,
    model        text         NOT NULL,
    title        varchar(255),
    is_temporary boolean      NOT NULL,
    is_favorite  boolean      NOT NULL DEFAULT false,
    metadata     jsonb        NOT NULL DEFAULT '{}',
    last_seq     bigint       NOT NULL DEFAULT 0 CHECK (last_seq >= 0),
    revision     bigint       NOT NULL DEFAULT 0 CHECK (revision >= 0),
    created_at   timestamptz  NOT NULL DEFAULT now(),
    updated_at   timestamptz  NOT NULL DEFAULT now(),
    deleted_at   timestamptz,
    PRIMARY KEY (tenant_id, id)
)
"""

CHATS_RECENT = """
CREATE INDEX ix_chats_recent ON mini_chat.chats (tenant_id, user_id, updated_at DESC, id DESC)
    WHERE deleted_at IS NULL
"""

MESSAGES = """
CREATE TABLE mini_chat.messages (
    tenant_id     uuid        NOT NULL,
    id            uuid        NOT NULL,
    chat_id       uuid        NOT NULL,
    turn_id       uuid        NOT NULL,
    request_id    uuid        NOT NULL,
    seq           bigint      NOT NULL CHECK (seq > 0),
    role          text        NOT NULL CHECK (role IN ('user', 'assistant', 'system')),
    content       text        NOT NULL,
    is_partial    boolean     NOT NULL,
    model         text,
    finish_reason text        CHECK (finish_reason IN ('stop', 'length', 'content_filter', 'tool_limit')),
    citations     jsonb,
    metadata      jsonb,
    input_tokens  bigint      CHECK (input_tokens >= 0),
    output_tokens bigint      CHECK (output_tokens >= 0),
    created_at    timestamptz NOT NULL DEFAULT now(),
    deleted_at    timestamptz,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT ux_messages_seq UNIQUE (tenant_id, chat_id, seq),
    CONSTRAINT ux_messages_turn_role UNIQUE (tenant_id, turn_id, role),
    CONSTRAINT fk_messages_chat FOREIGN KEY (tenant_id, chat_id) REFERENCES mini_chat.chats (tenant_id, id)
)
"""

MESSAGES_CREATED = """
CREATE INDEX ix_messages_created ON mini_chat.messages (tenant_id, chat_id, created_at, id)
    WHERE deleted_at IS NULL
"""

# A heartbeat rewrites lease_until every few seconds. No index holds it and each page keeps a fifth of its
# room, so the new version of the row stays in the page and costs no index entry.
TURNS = """
CREATE TABLE mini_chat.chat_turns (
    tenant_id            uuid        NOT NULL,
    id                   uuid        NOT NULL,
    chat_id              uuid        NOT NULL,
    user_id              uuid        NOT NULL,
    request_id           uuid        NOT NULL,
    kind                 text        NOT NULL CHECK (kind IN ('send', 'create_send', 'retry', 'edit')),
    body_fingerprint     bytea       NOT NULL CHECK (octet_length(body_fingerprint) = 32),
    on_disconnect        text        NOT NULL CHECK (on_disconnect IN ('cancel', 'continue')),
    user_seq             bigint      NOT NULL CHECK (user_seq > 0),
    user_message_id      uuid        NOT NULL,
    planned_message_id   uuid        NOT NULL,
    assistant_message_id uuid,
    trace_id             text        NOT NULL,

    state                text        NOT NULL CHECK (state IN ('running', 'completed', 'failed', 'cancelled')),
    finish_reason        text        CHECK (finish_reason IN ('stop', 'length', 'content_filter', 'tool_limit')),
    error_code           text        CHECK (error_code IN (
        'provider_error', 'provider_timeout', 'provider_unavailable', 'rate_limited', 'stream_interrupted',
        'context_budget_exceeded', 'web_search_calls_exceeded', 'code_interpreter_calls_exceeded',
        'generation_disabled', 'server_shutdown', 'turn_timeout', 'orphan_timeout',
        'message_persistence_failed', 'internal_error')),
    cancel_requested_at  timestamptz,
    cancel_reason        text,
    owner_id             uuid,
    owner_epoch          bigint      NOT NULL CHECK (owner_epoch >= 1),
    lease_until          timestamptz,
    reap_attempts        smallint    NOT NULL DEFAULT 0 CHECK (reap_attempts >= 0),
    next_reap_at         timestamptz NOT NULL DEFAULT now(),
    started_at           timestamptz NOT NULL DEFAULT now(),
    completed_at         timestamptz,

    selected_model       text        NOT NULL,
    effective_model      text        NOT NULL,
    provider_id          text        NOT NULL,
    quota_decision       text        NOT NULL DEFAULT 'allow' CHECK (quota_decision IN ('allow', 'downgrade')),
    downgrade_reason     text,
    max_output_tokens    integer     NOT NULL CHECK (max_output_tokens > 0),

    usage_source         text        CHECK (usage_source IN ('reported', 'estimated', 'unknown')),
    input_tokens         bigint      CHECK (input_tokens >= 0),
    output_tokens        bigint      CHECK (output_tokens >= 0),
    ttft_ms              integer     CHECK (ttft_ms >= 0),
    total_ms             integer     CHECK (total_ms >= 0),
    last_event_id        integer     CHECK (last_event_id >= 0),

    PRIMARY KEY (tenant_id, id),
    CONSTRAINT ux_turns_request UNIQUE (tenant_id, chat_id, request_id),
    CONSTRAINT fk_turns_chat FOREIGN KEY (tenant_id, chat_id) REFERENCES mini_chat.chats (tenant_id, id),
    CONSTRAINT fk_turns_user_message FOREIGN KEY (tenant_id, user_message_id)
        REFERENCES mini_chat.messages (tenant_id, id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT fk_turns_assistant_message FOREIGN KEY (tenant_id, assistant_message_id)
        REFERENCES mini_chat.messages (tenant_id, id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT ck_turns_leased_while_running CHECK ((state = 'running') = (lease_until IS NOT NULL)),
    CONSTRAINT ck_turns_completed_at CHECK ((state = 'running') = (completed_at IS NULL)),
    CONSTRAINT ck_turns_completed CHECK (
        state <> 'completed' OR (assistant_message_id IS NOT NULL AND finish_reason IS NOT NULL)),
    CONSTRAINT ck_turns_failed CHECK (state <> 'failed' OR error_code IS NOT NULL)
) WITH (fillfactor = 80)
"""

TURN_INDEXES = (
    "CREATE UNIQUE INDEX ux_turns_one_running ON mini_chat.chat_turns (tenant_id, chat_id) WHERE state = 'running'",
    """
    CREATE UNIQUE INDEX ux_turns_create_send ON mini_chat.chat_turns (tenant_id, user_id, request_id)
        WHERE kind = 'create_send'
    """,
    "CREATE INDEX ix_turns_latest ON mini_chat.chat_turns (tenant_id, chat_id, user_seq DESC)",
    "CREATE INDEX ix_turns_running ON mini_chat.chat_turns (tenant_id, user_id, id) WHERE state = 'running'",
)

# The circle turn -> message -> turn closes at commit: neither side is ever seen without the other.
MESSAGE_TURN = """
ALTER TABLE mini_chat.messages ADD CONSTRAINT fk_messages_turn FOREIGN KEY (tenant_id, turn_id)
    REFERENCES mini_chat.chat_turns (tenant_id, id) DEFERRABLE INITIALLY DEFERRED
"""

TURN_PARTS = """
CREATE TABLE mini_chat.turn_parts (
    tenant_id   uuid        NOT NULL,
    turn_id     uuid        NOT NULL,
    owner_epoch bigint      NOT NULL CHECK (owner_epoch >= 1),
    part_no     integer     NOT NULL CHECK (part_no >= 0),
    last_event  integer     NOT NULL CHECK (last_event >= 0),
    body        text        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, turn_id, owner_epoch, part_no),
    CONSTRAINT fk_turn_parts_turn FOREIGN KEY (tenant_id, turn_id)
        REFERENCES mini_chat.chat_turns (tenant_id, id)
)
"""

FREEZE = (
    """
    CREATE FUNCTION mini_chat.refuse_change_of_ended_turn() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'an ended turn cannot change'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'tg_turns_frozen';
    END $$
    """,
    """
    CREATE TRIGGER tg_turns_frozen BEFORE UPDATE ON mini_chat.chat_turns FOR EACH ROW
        WHEN (OLD.state <> 'running' AND OLD.* IS DISTINCT FROM NEW.*)
        EXECUTE FUNCTION mini_chat.refuse_change_of_ended_turn()
    """,
)

TENANT_TABLES = ("chats", "messages", "chat_turns", "turn_parts")

# A missing or emptied setting is NULL: no row matches and no row may be written. As a sub-select it is
# computed once per statement instead of once per row.
TENANT_ROWS = """
CREATE POLICY tenant_rows ON mini_chat.{table} TO mini_chat_app
    USING (tenant_id = (select nullif(current_setting('app.tenant', true), '')::uuid))
    WITH CHECK (tenant_id = (select nullif(current_setting('app.tenant', true), '')::uuid))
"""

APP_GRANTS = (
    "GRANT USAGE ON SCHEMA mini_chat TO mini_chat_app, mini_chat_ops",
    "GRANT SELECT ON mini_chat.schema_migrations TO mini_chat_app",
    """
    GRANT SELECT, INSERT, UPDATE
        ON mini_chat.chats, mini_chat.messages, mini_chat.chat_turns, mini_chat.turn_parts TO mini_chat_app
    """,
    "GRANT DELETE ON mini_chat.turn_parts TO mini_chat_app",
)

# The only statements that span tenants: renew leases, claim expired ones, save parts. They see running
# turns, no content, and save text only for a turn that the given epoch still owns.
OPS_GRANTS = (
    """
    GRANT SELECT (tenant_id, id, user_id, chat_id, state, owner_id, owner_epoch, lease_until, reap_attempts,
                  next_reap_at, cancel_requested_at, cancel_reason)
        ON mini_chat.chat_turns TO mini_chat_ops
    """,
    """
    GRANT UPDATE (owner_id, owner_epoch, lease_until, reap_attempts, next_reap_at)
        ON mini_chat.chat_turns TO mini_chat_ops
    """,
    """
    CREATE POLICY ops_see_running ON mini_chat.chat_turns FOR SELECT TO mini_chat_ops
        USING (state = 'running')
    """,
    """
    CREATE POLICY ops_lease_running ON mini_chat.chat_turns FOR UPDATE TO mini_chat_ops
        USING (state = 'running') WITH CHECK (state = 'running')
    """,
    "GRANT INSERT ON mini_chat.turn_parts TO mini_chat_ops",
    """
    CREATE POLICY ops_save_owned ON mini_chat.turn_parts FOR INSERT TO mini_chat_ops
        WITH CHECK (EXISTS (
            SELECT FROM mini_chat.chat_turns AS turn
            WHERE turn.tenant_id = turn_parts.tenant_id
              AND turn.id = turn_parts.turn_id
              AND turn.owner_epoch = turn_parts.owner_epoch
              AND turn.state = 'running'))
    """,
)


def upgrade() -> None:
    for statement in (CHATS, CHATS_RECENT, MESSAGES, MESSAGES_CREATED, TURNS, *TURN_INDEXES, MESSAGE_TURN, TURN_PARTS):
        op.execute(statement)
    for table in TENANT_TABLES:
        op.execute(f"ALTER TABLE mini_chat.{table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
        op.execute(TENANT_ROWS.format(table=table))
    for statement in (*FREEZE, *APP_GRANTS, *OPS_GRANTS):
        op.execute(statement)
