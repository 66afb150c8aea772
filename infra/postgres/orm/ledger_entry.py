"""What entered or left a bucket, for good: rows are added and never changed."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from infra.postgres.orm.base import TenantRow


class LedgerEntryRow(TenantRow):
    """Each turn has one `reserve` and, once it has ended, one `settle`, whose id is the turn's."""

    __tablename__ = "ledger_entries"
    __table_args__ = (
        Index(
            "ux_ledger_turn",
            "tenant_id",
            "turn_id",
            "kind",
            unique=True,
            postgresql_where=text("kind IN ('reserve', 'settle')"),
        ),
        Index(
            "ix_ledger_charges",
            "tenant_id",
            "user_id",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_where=text("kind = 'settle' AND usage_source <> 'unknown'"),
        ),
        Index(
            "ix_ledger_time",
            "tenant_id",
            "created_at",
            postgresql_using="brin",
            postgresql_with={"pages_per_range": 32, "autosummarize": "on"},
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("gen_random_uuid()"))
    kind: Mapped[str]
    turn_id: Mapped[UUID | None]
    chat_id: Mapped[UUID | None]
    request_id: Mapped[UUID | None]
    user_id: Mapped[UUID | None]
    model: Mapped[str | None]
    tier: Mapped[str | None]
    outcome: Mapped[str | None]
    usage_source: Mapped[str | None]
    input_tokens: Mapped[int | None]
    output_tokens: Mapped[int | None]
    credits_micro: Mapped[int]
    released_micro: Mapped[int] = mapped_column(server_default=text("0"))
    tenant_bucket: Mapped[bool | None]
    period_day: Mapped[date | None]
    period_month: Mapped[date | None]
    policy_version: Mapped[int | None]
    subject_id: Mapped[UUID | None]
    period_type: Mapped[str | None]
    period_start: Mapped[date | None]
    bucket: Mapped[str | None]
    reason: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
