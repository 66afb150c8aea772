"""Jobs as operators see them: ids, counts and codes, nothing of what they carry."""

from datetime import datetime

import msgspec

from domain.ids import TenantId


class DeadJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that is not tried again by itself; `error_code` says why, as long as the log of it is kept."""

    id: int
    queue: str
    tenant_id: TenantId
    attempts: int
    error_code: str | None
    created_at: datetime
    died_at: datetime


class DeadLetters(msgspec.Struct, frozen=True, kw_only=True):
    """Those of one queue, at least one."""

    queue: str
    count: int
    oldest_at: datetime


class QueueState(msgspec.Struct, frozen=True, kw_only=True):
    """`waiting` counts those whose next attempt is due later as well."""

    queue: str
    waiting: int
    running: int
    dead: int
    oldest_waiting_at: datetime | None
    oldest_dead_at: datetime | None
