"""How a turn ends, and the limits it runs under."""

from datetime import timedelta
from enum import StrEnum
from typing import TypeAlias

import msgspec

from domain.providers.events import Finish, Usage


class StopReason(StrEnum):
    """Who or what stopped a turn before its provider had finished; the first reason wins."""

    DISCONNECT = "disconnect"
    CANCEL_REQUESTED = "cancel_requested"
    CHAT_DELETED = "chat_deleted"
    OPERATOR_ABORT = "operator_abort"
    SWITCHED_OFF = "switched_off"
    TURN_TIMEOUT = "turn_timeout"
    DRAIN = "drain"
    LEASE_LOST = "lease_lost"


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    finish: Finish
    usage: Usage | None


class Stopped(msgspec.Struct, frozen=True, kw_only=True):
    reason: StopReason


class Broke(msgspec.Struct, frozen=True, kw_only=True):
    """The provider or we ourselves failed; `code` is the wire code of api.md 1.7."""

    code: str
    retryable: bool
    retry_after_ms: int | None = None
    usage: Usage | None = None


Ending: TypeAlias = Finished | Stopped | Broke

INTERNAL_FAULT = Broke(code="internal_error", retryable=True)
INTERRUPTED = Broke(code="stream_interrupted", retryable=True)


BUSY = timedelta(seconds=1)
"""After so long somebody may have left a turn that has as many readers as it may have."""


class StreamLimits(msgspec.Struct, frozen=True, kw_only=True):
    """`capacity` is how many events a reader may lag behind before the turn waits for it."""

    capacity: int = 32
    send_deadline: timedelta = timedelta(seconds=30)
    reader_deadline: timedelta = timedelta(seconds=5)
    max_readers: int = 8
    turn_deadline: timedelta = timedelta(minutes=10)
    max_running: int = 2000
    max_text_bytes: int = 16 * 1024 * 1024
