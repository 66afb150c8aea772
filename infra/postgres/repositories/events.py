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


# Both streams in one statement: the end of a turn writes one event into each.
_ADD: Final = Prepared(
    text("""
    WITH given AS (
        SELECT CAST(:tenant AS uuid) AS tenant_id, given.*, now() + CAST(:retention AS interval) AS expires_at
        FROM unnest(
            CAST(:streams AS text[]), CAST(:ids AS uuid[]), CAST(:types AS text[]), CAST(:users AS uuid[]),
            CAST(:chats AS uuid[]), CAST(:turns AS uuid[]), CAST(:bodies AS text[]), CAST(:dedupe_keys AS text[]),
            CAST(:moments AS timestamptz[]))
          AS given (stream, id, event_type, user_id, chat_id, turn_id, body, dedupe_key, occurred_at)
    ), used AS (
        INSERT INTO mini_chat.usage_events
            (tenant_id, id, event_type, user_id, chat_id, turn_id, body, dedupe_key, occurred_at, expires_at)
        SELECT tenant_id, id, event_type, user_id, chat_id, turn_id, CAST(body AS jsonb), dedupe_key, occurred_at,
            expires_at
        FROM given WHERE stream = 'usage'
    )
    INSERT INTO mini_chat.audit_events
        (tenant_id, id, event_type, user_id, chat_id, turn_id, body, dedupe_key, occurred_at, expires_at)
    SELECT tenant_id, id, event_type, user_id, chat_id, turn_id, CAST(body AS jsonb), dedupe_key, occurred_at,
        expires_at
    FROM given WHERE stream = 'audit'
    """)
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
        await _ADD.one(driver_of(self._connection), self._rows(events))
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

    def _rows(self, events: tuple[NewEvent, ...]) -> dict[str, object]:
        return {
            "tenant": self._scope.tenant_id,
            "retention": self._keeping.retention,
            "streams": [event.stream.value for event in events],
            "ids": [event.id for event in events],
            "types": [event.event_type.value for event in events],
            "users": [event.user_id for event in events],
            "chats": [event.chat_id for event in events],
            "turns": [event.turn_id for event in events],
            "bodies": [json_text(event.body) for event in events],
            "dedupe_keys": [event.dedupe_key for event in events],
            "moments": [event.occurred_at for event in events],
        }
