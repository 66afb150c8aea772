"""What was spent and is held in one period, of a user or of a tenant as a whole."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Mapped, mapped_column

from infra.postgres.orm.base import TenantRow

_NOTHING = text("0")


class QuotaBucketRow(TenantRow):
    """`subject_id` is the user, or the nil UUID for the tenant. `reserved_micro` is what its running turns hold."""

    __tablename__ = "quota_buckets"

    subject_id: Mapped[UUID] = mapped_column(primary_key=True)
    period_type: Mapped[str] = mapped_column(primary_key=True)
    period_start: Mapped[date] = mapped_column(primary_key=True)
    bucket: Mapped[str] = mapped_column(primary_key=True)
    limit_micro: Mapped[int]
    spent_micro: Mapped[int] = mapped_column(server_default=_NOTHING)
    reserved_micro: Mapped[int] = mapped_column(server_default=_NOTHING)
    calls: Mapped[int] = mapped_column(server_default=_NOTHING)
    input_tokens: Mapped[int] = mapped_column(server_default=_NOTHING)
    output_tokens: Mapped[int] = mapped_column(server_default=_NOTHING)
    web_search_calls: Mapped[int] = mapped_column(server_default=_NOTHING)
    web_search_held: Mapped[int] = mapped_column(server_default=_NOTHING)
    code_interpreter_calls: Mapped[int] = mapped_column(server_default=_NOTHING)
    code_interpreter_held: Mapped[int] = mapped_column(server_default=_NOTHING)
    file_search_calls: Mapped[int] = mapped_column(server_default=_NOTHING)
    image_inputs: Mapped[int] = mapped_column(server_default=_NOTHING)
    updated_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
