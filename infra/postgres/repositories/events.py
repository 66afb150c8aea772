"""The events of a tenant, and the jobs that carry them out of the house."""

from datetime import timedelta
from typing import Final

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.audit.events import NewEvent, OutgoingEvent, Stream
from domain.ids import EventId
from domain.jobs.payloads import ExportAudit, ExportUsage, Job
from domain.scope import AccessScope
from infra.postgres.connection_pool import driver_of
from infra.postgres.prepared import Prepared, json_text
from infra.postgres.repositories.jobs import PostgresJobs

DEFAULT_RETENTION: Final = timedelta(days=90)

_EXPORTS: Final[dict[Stream, type[ExportAudit | ExportUsage]]] = {
    Stream.AUDIT: ExportAudit,
    Stream.USAGE: ExportUsage,
}


class EventKeeping(msgspec.Struct, frozen=True, kw_only=True):
    """`exported` are the streams with a sink; `retention` says how long events are kept here."""

    exported: frozenset[Stream] = frozenset()
    retention: timedelta = DEFAULT_RETENTION


_COLUMNS: Final = "tenant_id, id, event_type, user_id, chat_id, turn_id, body, dedupe_key, occurred_at, expires_at"
# Both streams in one statement: the end of a turn writes one event into each. One parameter for all of them, because
# for arrays the driver would first have to ask about their types.
_ADD: Final = Prepared(
    text(f"""
    WITH given AS (
        SELECT given.*, CAST(:tenant AS uuid) AS tenant_id, now() + CAST(:retention AS interval) AS expires_at
        FROM jsonb_to_recordset(CAST(CAST(:events AS text) AS jsonb)) AS given (
            stream text, id uuid, event_type text, user_id uuid, chat_id uuid, turn_id uuid, body jsonb,
            dedupe_key text, occurred_at timestamptz)
    ), used AS (
        INSERT INTO mini_chat.usage_events ({_COLUMNS}) SELECT {_COLUMNS} FROM given WHERE stream = 'usage'
    )
    INSERT INTO mini_chat.audit_events ({_COLUMNS}) SELECT {_COLUMNS} FROM given WHERE stream = 'audit'
    """)  # noqa: S608 - our own names
)

_FIND: Final = {
    stream: Prepared(
        text(f"""
        SELECT event_type, dedupe_key, CAST(body AS text) AS body
        FROM mini_chat.{stream}_events WHERE tenant_id = CAST(:tenant AS uuid) AND id = CAST(:id AS uuid)
        """)  # noqa: S608 - one of two names of ours
    )
    for stream in Stream
}


class PostgresEvents:
    """Fills the port Events."""

    def __init__(self, connection: AsyncConnection, scope: AccessScope, keeping: EventKeeping) -> None:
        self._connection = connection
        self._scope = scope
        self._keeping = keeping

    async def add(self, *events: NewEvent) -> None:
        """One statement, and one more where a sink waits for any of them."""
        given = {
            "tenant": self._scope.tenant_id,
            "retention": self._keeping.retention,
            "events": json_text(events),
        }
        await _ADD.one(driver_of(self._connection), given)
        exports = [self._export(event) for event in events if event.stream in self._keeping.exported]
        if exports:
            await PostgresJobs(self._connection).enqueue(*exports)

    async def find(self, stream: Stream, event_id: EventId) -> OutgoingEvent | None:
        key = {"tenant": self._scope.tenant_id, "id": event_id}
        row = await _FIND[stream].one(driver_of(self._connection), key)
        if row is None:
            return None
        return OutgoingEvent(
            id=event_id,
            stream=stream,
            tenant_id=self._scope.tenant_id,
            event_type=row["event_type"],
            dedupe_key=row["dedupe_key"],
            body=row["body"].encode(),
        )

    def _export(self, event: NewEvent) -> Job:
        return _EXPORTS[event.stream](tenant_id=self._scope.tenant_id, event_id=event.id)
