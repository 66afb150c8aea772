"""Credits: counters, limits, the ledger, and what a turn holds and is charged."""

from alembic import op

revision = "0009"
down_revision = "0008"

# The hold of a turn is written with it and never changes. Turns without one are those of processes that knew no
# credits: they cost nothing. Such a process cannot end a turn that holds something, because it would not settle it.
TURNS = """
ALTER TABLE mini_chat.chat_turns
    ADD COLUMN tier                  text     CHECK (tier IN ('standard', 'premium')),
    ADD COLUMN policy_version        bigint   CHECK (policy_version >= 1),
    ADD COLUMN in_mult_micro         bigint   CHECK (in_mult_micro >= 1),
    ADD COLUMN out_mult_micro        bigint   CHECK (out_mult_micro >= 1),
    ADD COLUMN est_input_tokens      bigint   CHECK (est_input_tokens >= 0),
    ADD COLUMN generation_floor      integer  CHECK (generation_floor >= 1),
    ADD COLUMN reserved_micro        bigint   CHECK (reserved_micro >= 0),
    ADD COLUMN period_day            date,
    ADD COLUMN period_month          date,
    ADD COLUMN tenant_bucket         boolean,
    ADD COLUMN web_search_held       smallint NOT NULL DEFAULT 0 CHECK (web_search_held >= 0),
    ADD COLUMN code_interpreter_held smallint NOT NULL DEFAULT 0 CHECK (code_interpreter_held >= 0),
    ADD COLUMN provider_started_at   timestamptz,
    ADD COLUMN settlement            text     CHECK (settlement IN ('actual', 'estimated', 'released')),
    ADD COLUMN billing_outcome       text     CHECK (billing_outcome IN ('completed', 'failed', 'aborted')),
    ADD COLUMN settled_micro         bigint   CHECK (settled_micro >= 0),
    ADD COLUMN capped                boolean,
    ADD CONSTRAINT ck_turns_hold CHECK (num_nonnulls(tier, policy_version, in_mult_micro, out_mult_micro,
        est_input_tokens, generation_floor, reserved_micro, period_day, period_month, tenant_bucket) IN (0, 10)),
    ADD CONSTRAINT ck_turns_settled CHECK (
        reserved_micro IS NULL OR (state = 'running') = (settled_micro IS NULL)),
    ADD CONSTRAINT ck_turns_settlement CHECK (
        num_nonnulls(settlement, billing_outcome, settled_micro, capped) IN (0, 4)),
    ADD CONSTRAINT ck_turns_released CHECK (settlement <> 'released' OR settled_micro = 0)
"""

# Of the user, or with the nil UUID of the tenant itself. A row is rewritten twice by each turn: room for that in the
# page, and no index that would have to follow.
BUCKETS = """
CREATE TABLE mini_chat.quota_buckets (
    tenant_id              uuid        NOT NULL,
    subject_id             uuid        NOT NULL,
    period_type            text        NOT NULL CHECK (period_type IN ('daily', 'monthly')),
    period_start           date        NOT NULL,
    bucket                 text        NOT NULL CHECK (bucket IN ('total', 'tier:premium', 'system')),
    limit_micro            bigint      NOT NULL CHECK (limit_micro >= 0),
    spent_micro            bigint      NOT NULL DEFAULT 0 CHECK (spent_micro >= 0),
    reserved_micro         bigint      NOT NULL DEFAULT 0 CHECK (reserved_micro >= 0),
    calls                  bigint      NOT NULL DEFAULT 0 CHECK (calls >= 0),
    input_tokens           bigint      NOT NULL DEFAULT 0 CHECK (input_tokens >= 0),
    output_tokens          bigint      NOT NULL DEFAULT 0 CHECK (output_tokens >= 0),
    web_search_calls       bigint      NOT NULL DEFAULT 0 CHECK (web_search_calls >= 0),
    web_search_held        bigint      NOT NULL DEFAULT 0 CHECK (web_search_held >= 0),
    code_interpreter_calls bigint      NOT NULL DEFAULT 0 CHECK (code_interpreter_calls >= 0),
    code_interpreter_held  bigint      NOT NULL DEFAULT 0 CHECK (code_interpreter_held >= 0),
    file_search_calls      bigint      NOT NULL DEFAULT 0 CHECK (file_search_calls >= 0),
    image_inputs           bigint      NOT NULL DEFAULT 0 CHECK (image_inputs >= 0),
    updated_at             timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, subject_id, period_type, period_start, bucket)
) WITH (fillfactor = 50)
"""

LIMITS = """
CREATE TABLE mini_chat.quota_limits (
    tenant_id             uuid        NOT NULL,
    scope                 text        NOT NULL CHECK (scope IN ('user', 'user_default', 'tenant')),
    subject_id            uuid        NOT NULL,
    total_daily_micro     bigint      CHECK (total_daily_micro >= 0),
    total_monthly_micro   bigint      CHECK (total_monthly_micro >= 0),
    premium_daily_micro   bigint      CHECK (premium_daily_micro >= 0),
    premium_monthly_micro bigint      CHECK (premium_monthly_micro >= 0),
    version               bigint      NOT NULL CHECK (version >= 1),
    updated_by            uuid        NOT NULL,
    updated_at            timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, scope, subject_id),
    CONSTRAINT ck_limits_subject CHECK (
        (scope = 'user') = (subject_id <> '00000000-0000-0000-0000-000000000000'))
)
"""

# What left or entered a bucket stands here for good. A `reserve` row adds `credits_micro` to what is reserved; a
# `settle` row adds it to what is spent and takes `released_micro`, the whole hold, from what is reserved; an `adjust`
# row corrects one bucket by both.
LEDGER = """
CREATE TABLE mini_chat.ledger_entries (
    tenant_id      uuid        NOT NULL,
    id             uuid        NOT NULL DEFAULT gen_random_uuid(),
    kind           text        NOT NULL CHECK (kind IN ('reserve', 'settle', 'adjust', 'system')),
    turn_id        uuid,
    chat_id        uuid,
    request_id     uuid,
    user_id        uuid,
    model          text,
    tier           text        CHECK (tier IN ('standard', 'premium')),
    outcome        text        CHECK (outcome IN ('completed', 'failed', 'cancelled')),
    usage_source   text        CHECK (usage_source IN ('reported', 'estimated', 'unknown')),
    input_tokens   bigint      CHECK (input_tokens >= 0),
    output_tokens  bigint      CHECK (output_tokens >= 0),
    credits_micro  bigint      NOT NULL,
    released_micro bigint      NOT NULL DEFAULT 0,
    tenant_bucket  boolean,
    period_day     date,
    period_month   date,
    policy_version bigint,
    subject_id     uuid,
    period_type    text        CHECK (period_type IN ('daily', 'monthly')),
    period_start   date,
    bucket         text        CHECK (bucket IN ('total', 'tier:premium', 'system')),
    reason         text,
    created_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT ck_ledger_sign CHECK (kind = 'adjust' OR (credits_micro >= 0 AND released_micro >= 0)),
    CONSTRAINT ck_ledger_turn CHECK (kind NOT IN ('reserve', 'settle') OR num_nonnulls(
        turn_id, chat_id, request_id, user_id, model, tier, tenant_bucket, period_day, period_month,
        policy_version) = 10),
    CONSTRAINT ck_ledger_usage CHECK (kind <> 'settle' OR num_nonnulls(
        outcome, usage_source, input_tokens, output_tokens) = 4),
    CONSTRAINT ck_ledger_bucket CHECK (
        kind NOT IN ('adjust', 'system') OR num_nonnulls(subject_id, period_type, period_start, bucket) = 4)
)
"""

LEDGER_INDEXES = (
    """
    CREATE UNIQUE INDEX ux_ledger_turn ON mini_chat.ledger_entries (tenant_id, turn_id, kind)
        WHERE kind IN ('reserve', 'settle')
    """,
    """
    CREATE INDEX ix_ledger_charges ON mini_chat.ledger_entries (tenant_id, user_id, created_at DESC, id DESC)
        WHERE kind = 'settle' AND usage_source <> 'unknown'
    """,
)

TENANT_TABLES = ("quota_buckets", "quota_limits", "ledger_entries")

TENANT_ROWS = """
CREATE POLICY tenant_rows ON mini_chat.{table} TO mini_chat_app
    USING (tenant_id = (select nullif(current_setting('app.tenant', true), '')::uuid))
    WITH CHECK (tenant_id = (select nullif(current_setting('app.tenant', true), '')::uuid))
"""

APP_GRANTS = (
    "GRANT SELECT, INSERT, UPDATE ON mini_chat.quota_buckets, mini_chat.quota_limits TO mini_chat_app",
    "GRANT SELECT, INSERT ON mini_chat.ledger_entries TO mini_chat_app",
)

# Across tenants: where something is held, so that it can be audited, and what was charged, so that it can be summed.
OPS_GRANTS = (
    """
    GRANT SELECT (tenant_id, subject_id, period_type, period_start, bucket, reserved_micro)
        ON mini_chat.quota_buckets TO mini_chat_ops
    """,
    "CREATE POLICY ops_see_held ON mini_chat.quota_buckets FOR SELECT TO mini_chat_ops USING (reserved_micro > 0)",
    """
    GRANT SELECT (tenant_id, id, kind, user_id, model, usage_source, input_tokens, output_tokens, credits_micro,
                  created_at)
        ON mini_chat.ledger_entries TO mini_chat_ops
    """,
    "CREATE POLICY ops_sum_charges ON mini_chat.ledger_entries FOR SELECT TO mini_chat_ops USING (kind = 'settle')",
)


def upgrade() -> None:
    for statement in (TURNS, BUCKETS, LIMITS, LEDGER, *LEDGER_INDEXES):
        op.execute(statement)
    for table in TENANT_TABLES:
        op.execute(f"ALTER TABLE mini_chat.{table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
        op.execute(TENANT_ROWS.format(table=table))
    for statement in (*APP_GRANTS, *OPS_GRANTS):
        op.execute(statement)
