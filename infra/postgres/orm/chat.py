"""A conversation of one user."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from infra.postgres.orm.base import TenantRow


class ChatRow(TenantRow):
    """`last_seq` numbers its messages; `revision` grows with every change of its history.

    `message_count` is kept by a trigger of the messages: whoever writes them need not count. `title_source` is who made
    the title: `user`, `first_line` of a message, or `model`.
    """

    __tablename__ = "chats"
    __table_args__ = (
        Index(
            "ix_chats_recent",
            "tenant_id",
            "user_id",
            text("updated_at DESC"),
            text("id DESC"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index(
            "ix_chats_created",
            "tenant_id",
            "user_id",
            "created_at",
            "id",
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index(
            "ix_chats_deleted",
            "tenant_id",
            "user_id",
            text("updated_at DESC"),
            text("id DESC"),
            postgresql_where=text("deleted_at IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID]
    model: Mapped[str]
    title: Mapped[str | None] = mapped_column(String(255))
    title_source: Mapped[str | None]
    is_temporary: Mapped[bool]
    is_favorite: Mapped[bool] = mapped_column(server_default=text("false"))
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", server_default=text("'{}'::jsonb"))
    last_seq: Mapped[int] = mapped_column(server_default=text("0"))
    revision: Mapped[int] = mapped_column(server_default=text("0"))
    message_count: Mapped[int] = mapped_column(server_default=text("0"))
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    updated_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    deleted_at: Mapped[datetime | None]
