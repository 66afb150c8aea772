"""What an administrator has set: for a user, for each user of a tenant, for a tenant as a whole."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Mapped, mapped_column

from infra.postgres.orm.base import TenantRow


class QuotaLimitRow(TenantRow):
    """A column that is null has no value of its own. `version` grows with each change."""

    __tablename__ = "quota_limits"

    scope: Mapped[str] = mapped_column(primary_key=True)
    subject_id: Mapped[UUID] = mapped_column(primary_key=True)
    total_daily_micro: Mapped[int | None]
    total_monthly_micro: Mapped[int | None]
    premium_daily_micro: Mapped[int | None]
    premium_monthly_micro: Mapped[int | None]
    version: Mapped[int]
    updated_by: Mapped[UUID]
    updated_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
