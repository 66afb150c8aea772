"""One attempt to answer one message: who drives it, until when, and how it ended."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, Integer, SmallInteger, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from infra.postgres.orm.base import SCHEMA, TenantRow

_RUNNING = text("state = 'running'")


class TurnRow(TenantRow):
    """`lease_until` is set exactly while the turn runs; a row in any other state is frozen by the database.

    Every write of whoever drives the turn carries the fence `state = 'running' AND owner_epoch = :mine`.
    """

    __tablename__ = "chat_turns"
    __table_args__ = (
        UniqueConstraint("tenant_id", "chat_id", "request_id", name="ux_turns_request"),
        Index("ux_turns_one_running", "tenant_id", "chat_id", unique=True, postgresql_where=_RUNNING),
        Index(
            "ux_turns_create_send",
            "tenant_id",
            "user_id",
            "request_id",
            unique=True,
            postgresql_where=text("kind = 'create_send'"),
        ),
        Index("ix_turns_latest", "tenant_id", "chat_id", text("user_seq DESC")),
        Index("ix_turns_running", "tenant_id", "user_id", "id", postgresql_where=_RUNNING),
        ForeignKeyConstraint(
            ["tenant_id", "chat_id"], [f"{SCHEMA}.chats.tenant_id", f"{SCHEMA}.chats.id"], name="fk_turns_chat"
        ),
        ForeignKeyConstraint(
            ["tenant_id", "user_message_id"],
            [f"{SCHEMA}.messages.tenant_id", f"{SCHEMA}.messages.id"],
            name="fk_turns_user_message",
            deferrable=True,
            initially="DEFERRED",
        ),
        ForeignKeyConstraint(
            ["tenant_id", "assistant_message_id"],
            [f"{SCHEMA}.messages.tenant_id", f"{SCHEMA}.messages.id"],
            name="fk_turns_assistant_message",
            deferrable=True,
            initially="DEFERRED",
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    chat_id: Mapped[UUID]
    user_id: Mapped[UUID]
    request_id: Mapped[UUID]
    kind: Mapped[str]
    body_fingerprint: Mapped[bytes]
    on_disconnect: Mapped[str]
    user_seq: Mapped[int]
    user_message_id: Mapped[UUID]
    planned_message_id: Mapped[UUID]
    assistant_message_id: Mapped[UUID | None]
    trace_id: Mapped[str]

    state: Mapped[str]
    finish_reason: Mapped[str | None]
    error_code: Mapped[str | None]
    cancel_requested_at: Mapped[datetime | None]
    cancel_reason: Mapped[str | None]
    owner_id: Mapped[UUID | None]
    owner_epoch: Mapped[int]
    lease_until: Mapped[datetime | None]
    reap_attempts: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    next_reap_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    started_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    completed_at: Mapped[datetime | None]

    selected_model: Mapped[str]
    effective_model: Mapped[str]
    provider_id: Mapped[str]
    quota_decision: Mapped[str] = mapped_column(server_default=text("'allow'"))
    downgrade_reason: Mapped[str | None]
    max_output_tokens: Mapped[int] = mapped_column(Integer)

    usage_source: Mapped[str | None]
    input_tokens: Mapped[int | None]
    output_tokens: Mapped[int | None]
    ttft_ms: Mapped[int | None] = mapped_column(Integer)
    total_ms: Mapped[int | None] = mapped_column(Integer)
    last_event_id: Mapped[int | None] = mapped_column(Integer)

    web_search: Mapped[bool] = mapped_column(server_default=text("false"))
    deleted_at: Mapped[datetime | None]
    replaced_by_request_id: Mapped[UUID | None]
    upstream_closed_ms: Mapped[int | None] = mapped_column(Integer)

    retryable: Mapped[bool | None]
    retry_after_ms: Mapped[int | None] = mapped_column(Integer)

    tier: Mapped[str | None]
    policy_version: Mapped[int | None]
    in_mult_micro: Mapped[int | None]
    out_mult_micro: Mapped[int | None]
    est_input_tokens: Mapped[int | None]
    generation_floor: Mapped[int | None] = mapped_column(Integer)
    reserved_micro: Mapped[int | None]
    period_day: Mapped[date | None]
    period_month: Mapped[date | None]
    tenant_bucket: Mapped[bool | None]
    web_search_held: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    code_interpreter_held: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    provider_started_at: Mapped[datetime | None]
    web_search_calls: Mapped[int | None] = mapped_column(Integer)
    code_interpreter_calls: Mapped[int | None] = mapped_column(Integer)
    file_search_calls: Mapped[int | None] = mapped_column(Integer)

    settlement: Mapped[str | None]
    billing_outcome: Mapped[str | None]
    settled_micro: Mapped[int | None]
    capped: Mapped[bool | None]

    plan_tokens: Mapped[int | None] = mapped_column(Integer)
    turns_dropped: Mapped[int | None] = mapped_column(Integer)
    summary_applied: Mapped[bool | None]

    fallback_model: Mapped[str | None]
    went_over_from: Mapped[str | None]
    provider_response_id: Mapped[str | None]
