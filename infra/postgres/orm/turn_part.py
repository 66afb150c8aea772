"""A slice of answer text, kept while its turn runs so that a lost process loses seconds and not the answer."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from infra.postgres.orm.base import SCHEMA, TenantRow


class TurnPartRow(TenantRow):
    """`last_event` is the number of the last stream event whose text the part holds."""

    __tablename__ = "turn_parts"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "turn_id"],
            [f"{SCHEMA}.chat_turns.tenant_id", f"{SCHEMA}.chat_turns.id"],
            name="fk_turn_parts_turn",
        ),
    )

    turn_id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    part_no: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    last_event: Mapped[int] = mapped_column(Integer)
    body: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
