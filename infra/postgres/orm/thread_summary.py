"""What a chat has outgrown, in short."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from infra.postgres.orm.base import SCHEMA, TenantRow


class ThreadSummaryRow(TenantRow):
    """Covers everything up to the message at `covers_seq`; an empty one was forgotten, and covers nothing."""

    __tablename__ = "thread_summaries"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "chat_id"], [f"{SCHEMA}.chats.tenant_id", f"{SCHEMA}.chats.id"], name="fk_summaries_chat"
        ),
    )

    chat_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    body: Mapped[str]
    covers_seq: Mapped[int]
    token_estimate: Mapped[int] = mapped_column(Integer)
    model: Mapped[str]
    updated_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
