"""What is told to whoever keeps the books outside: audit events (engine.md 7.2) and usage events (7.3).

Facts and ids, never what users wrote or models answered.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from domain.clock import utc_text
from domain.ids import ChatId, EventId, RequestId, TenantId, TurnId, UserId, uuid7
from domain.scope import AccessScope
from domain.subject import Subject
from domain.telemetry.correlation import current_trace

SCHEMA_VERSION: Final = 1


class Stream(StrEnum):
    AUDIT = "audit"
    USAGE = "usage"


class EventType(StrEnum):
    CHAT_CREATED = "chat_created"
    CHAT_RENAMED = "chat_renamed"
    CHAT_DELETED = "chat_deleted"
    CHAT_RESTORED = "chat_restored"
    TURN_COMPLETED = "turn_completed"
    TURN_FAILED = "turn_failed"
    TURN_CANCELLED = "turn_cancelled"
    TURN_RETRY = "turn_retry"
    TURN_EDIT = "turn_edit"
    TURN_DELETE = "turn_delete"
    TURN_USAGE = "turn_usage"
    SYSTEM_USAGE = "system_usage"
    SWITCH_CHANGED = "switch_changed"
    LIMITS_CHANGED = "limits_changed"
    QUOTA_REJECTED = "quota_rejected"
    HOLD_CORRECTED = "hold_corrected"
    CATALOG_LOADED = "catalog_loaded"
    CATALOG_REFUSED = "catalog_refused"
    MODEL_CHANGED = "model_changed"
    TURN_ABORTED = "turn_aborted"
    JOB_REQUEUED = "job_requeued"
    SUMMARY_UPDATED = "summary_updated"


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who did it: a user, or with neither id nor credential the system itself."""

    type: str = "system"
    id: UserId | None = None
    auth_method: str | None = None

    @classmethod
    def of(cls, who: Subject) -> "Actor":
        return cls(type="user", id=who.user_id, auth_method=who.auth_method.value)

    @classmethod
    def behind(cls, scope: AccessScope) -> "Actor":
        """The owner of what is changed, where the credential is no longer at hand."""
        return cls(type="user", id=scope.user_id)


SYSTEM: Final = Actor()


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it is stored. Consumers see `body`, and keep the first of each `dedupe_key`."""

    id: EventId
    stream: Stream
    event_type: EventType
    occurred_at: datetime
    dedupe_key: str
    body: Mapping[str, object]
    user_id: UserId | None = None
    chat_id: ChatId | None = None
    turn_id: TurnId | None = None


class OutgoingEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event on its way to a sink; `body` is JSON."""

    id: EventId
    stream: Stream
    tenant_id: TenantId
    event_type: str
    dedupe_key: str
    body: bytes


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What an event is about, as far as there is such a thing."""

    chat_id: ChatId | None = None
    turn_id: TurnId | None = None
    request_id: RequestId | None = None


def audit_event(
    event_type: EventType,
    scope: AccessScope,
    actor: Actor,
    now: datetime,
    about: About = About(),  # noqa: B008 - frozen
    *,
    once: str | None = None,
    outcome: str = "success",
    trace_id: str | None = None,
    details: Mapping[str, object] | None = None,
) -> NewEvent:
    """`once` names what can happen to the turn only once (`ended`, `turn_delete`), and makes the key of it.

    `details` are the members of this type beside the common ones. Without a trace of its own the call's is told.
    """
    event_id = EventId(uuid7(now))
    subject: UUID | None = about.turn_id if once else event_id
    key = "/".join(str(part) for part in (scope.tenant_id, subject, once) if part is not None)
    common: dict[str, object] = {
        "event_id": event_id,
        "event_type": event_type.value,
        "schema_version": SCHEMA_VERSION,
        "occurred_at": utc_text(now),
        "tenant_id": scope.tenant_id,
        "actor": actor,
        "requester_type": "system" if actor.id is None else "user",
        "trace_id": trace_id or current_trace().trace_id,
        "chat_id": about.chat_id,
        "turn_id": about.turn_id,
        "request_id": about.request_id,
        "outcome": outcome,
        "dedupe_key": key,
    }
    return NewEvent(
        id=event_id,
        stream=Stream.AUDIT,
        event_type=event_type,
        occurred_at=now,
        dedupe_key=key,
        body=common | dict(details or {}),
        user_id=scope.user_id,
        chat_id=about.chat_id,
        turn_id=about.turn_id,
    )
