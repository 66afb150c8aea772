"""What operators decide for all tenants. Rows are only added: the newest version of a thing rules."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Identity, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from infra.postgres.orm.base import Base

EVERYTHING = "*"
"""The target of the one switch that is about nothing in particular."""


class KillSwitchRow(Base):
    """A change of a switch. `created_at` is when it was set, `recorded_at` when this row was written."""

    __tablename__ = "kill_switches"
    __table_args__ = (
        UniqueConstraint("scope", "target", "version", name="ux_kill_switches_version"),
        UniqueConstraint("id", "version", name="ux_kill_switches_id"),
    )

    revision: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    id: Mapped[UUID]
    scope: Mapped[str]
    target: Mapped[str]
    version: Mapped[int]
    mode: Mapped[str]
    reason: Mapped[str]
    created_by: Mapped[UUID]
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    expires_at: Mapped[datetime | None]
    cleared_by: Mapped[UUID | None]
    cleared_at: Mapped[datetime | None]
    recorded_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class ModelOverrideRow(Base):
    """An administrator's word on a model, which the catalogue's own gives way to."""

    __tablename__ = "model_overrides"
    __table_args__ = (UniqueConstraint("model_id", "version", name="ux_model_overrides_version"),)

    revision: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    model_id: Mapped[str]
    version: Mapped[int]
    enabled: Mapped[bool]
    created_by: Mapped[UUID]
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class PolicySnapshotRow(Base):
    """A catalogue that was in force; the same content has one version for ever."""

    __tablename__ = "policy_snapshots"
    __table_args__ = (UniqueConstraint("sha256", name="ux_policy_snapshots_sha256"),)

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sha256: Mapped[bytes]
    body: Mapped[dict[str, Any]]
    loaded_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
