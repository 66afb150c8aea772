"""Events that must leave: written once, never changed, forgotten when they expire."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from infra.postgres.orm.base import TenantRow


class EventRow(TenantRow):
    """They outlive what they tell of, so nothing in them refers to another row."""

    __abstract__ = True

    id: Mapped[UUID] = mapped_column(primary_key=True)
    event_type: Mapped[str]
    user_id: Mapped[UUID | None]
    chat_id: Mapped[UUID | None]
    turn_id: Mapped[UUID | None]
    body: Mapped[dict[str, Any]]
    dedupe_key: Mapped[str]
    occurred_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    expires_at: Mapped[datetime]


class AuditEventRow(EventRow):
    __tablename__ = "audit_events"
    __table_args__ = (
        UniqueConstraint("tenant_id", "dedupe_key", name="ux_audit_events_dedupe_key"),
        Index("ix_audit_events_occurred", "tenant_id", "occurred_at", "id"),
    )


class UsageEventRow(EventRow):
    __tablename__ = "usage_events"
    __table_args__ = (
        UniqueConstraint("tenant_id", "dedupe_key", name="ux_usage_events_dedupe_key"),
        Index("ix_usage_events_occurred", "tenant_id", "occurred_at", "id"),
    )
