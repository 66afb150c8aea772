"""One entry of a conversation, written by a turn and by nothing else."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from infra.postgres.orm.base import SCHEMA, TenantRow


class MessageRow(TenantRow):
    """`seq` orders the messages of a chat; it may have gaps."""

    __tablename__ = "messages"
    __table_args__ = (
        UniqueConstraint("tenant_id", "chat_id", "seq", name="ux_messages_seq"),
        UniqueConstraint("tenant_id", "turn_id", "role", name="ux_messages_turn_role"),
        Index(
            "ix_messages_created",
            "tenant_id",
            "chat_id",
            "created_at",
            "seq",
            postgresql_where=text("deleted_at IS NULL"),
        ),
        ForeignKeyConstraint(
            ["tenant_id", "chat_id"], [f"{SCHEMA}.chats.tenant_id", f"{SCHEMA}.chats.id"], name="fk_messages_chat"
        ),
        ForeignKeyConstraint(
            ["tenant_id", "turn_id"],
            [f"{SCHEMA}.chat_turns.tenant_id", f"{SCHEMA}.chat_turns.id"],
            name="fk_messages_turn",
            deferrable=True,
            initially="DEFERRED",
            use_alter=True,
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    chat_id: Mapped[UUID]
    turn_id: Mapped[UUID]
    request_id: Mapped[UUID]
    seq: Mapped[int]
    role: Mapped[str]
    content: Mapped[str]
    is_partial: Mapped[bool]
    model: Mapped[str | None]
    finish_reason: Mapped[str | None]
    citations: Mapped[list[dict[str, Any]] | None]
    metadata_: Mapped[dict[str, Any] | None] = mapped_column("metadata")
    input_tokens: Mapped[int | None]
    output_tokens: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    deleted_at: Mapped[datetime | None]
