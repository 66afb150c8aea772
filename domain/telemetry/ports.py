"""What the engine reports about itself, and a twin that reports nothing.

Never per delta, and never content: attributes are numbers, ids and closed words (engine.md 11).
"""

from contextlib import AbstractContextManager
from enum import StrEnum
from types import TracebackType
from typing import Protocol, Self

from domain.telemetry.trace_context import TraceContext


class SpanName(StrEnum):
    SEND = "chat.send"
    GATES = "turn.gates"
    CREATE = "turn.create"
    PROVIDER = "provider.stream"
    FINALISE = "turn.finalise"
    REAP = "turn.reap"
    JOB = "job"


class Counted(StrEnum):
    """Counters of engine.md 11.1 without prefix and `_total`."""

    STREAM_STARTED = "stream_started"
    STREAM_COMPLETED = "stream_completed"
    STREAM_FAILED = "stream_failed"
    STREAM_DISCONNECTED = "stream_disconnected"
    STREAM_REPLAY = "stream_replay"
    STREAM_ATTACH = "stream_attach"
    CANCEL_REQUESTED = "cancel_requested"
    GRAMMAR_VIOLATION = "grammar_violation"
    LOST_RACE = "lost_race"
    LEASE_LOST = "lease_lost"
    FINALIZE_RETRY = "finalize_retry"
    FINALIZE_GAVE_UP = "finalize_gave_up"
    ORPHAN_FINALIZED = "orphan_finalized"
    REAP_FAILED = "reap_failed"
    QUOTA_PREFLIGHT = "quota_preflight"
    QUOTA_TIER_DOWNGRADE = "quota_tier_downgrade"
    USAGE_INVALID = "usage_invalid"
    QUOTA_OVERSHOOT = "quota_overshoot"
    QUOTA_CAPPED = "quota_capped"
    QUOTA_HOLD_MISMATCH = "quota_hold_mismatch"
    TOOL_CALLS = "tool_calls"
    TOOL_CALL_LIMITED = "tool_call_limited"
    REDIS_ERRORS = "redis_errors"
    POLICY_LOAD = "policy_load"
    RATE_LIMITED = "rate_limited"
    JOBS_HANDLED = "jobs_handled"
    SYSTEM_CALLS = "system_calls"
    CONTEXT_TRUNCATION = "context_truncation"
    THREAD_SUMMARY_TRIGGER = "thread_summary_trigger"
    THREAD_SUMMARY_EXECUTION = "thread_summary_execution"
    THREAD_SUMMARY_CAS_CONFLICTS = "thread_summary_cas_conflicts"
    PROVIDER_REQUESTS = "provider_requests"
    PROVIDER_ERRORS = "provider_errors"
    PROVIDER_ANOMALIES = "provider_anomalies"
    PROVIDER_FALLBACK = "provider_fallback"


class Measured(StrEnum):
    """Histograms of engine.md 11.1 without prefix; the unit belongs to the name."""

    KILL_SWITCH_EFFECT = "kill_switch_effect_seconds"
    PROVIDER_LATENCY = "provider_latency_ms"
    JOBS_LAG = "jobs_lag_seconds"


class Gauged(StrEnum):
    """Gauges of engine.md 11.1 without prefix."""

    BREAKER_STATE = "breaker_state"
    PROVIDER_ALARM = "provider_alarm"
    JOBS_DEAD = "jobs_dead"
    JOBS_OLDEST_DEAD = "jobs_oldest_dead_seconds"


class Span(Protocol):
    @property
    def trace(self) -> TraceContext:
        """What belongs under this span: hand it to inner spans, to tasks that outlive it, and to the next hop."""
        ...

    def note(self, **attributes: str | float) -> None:
        """Adds facts known late. `__` in a name becomes a dot: `gen_ai__request__model`."""
        ...

    def failed(self, error_type: str) -> None:
        """Marks the span with a stable code, never with an exception's text."""
        ...


class Telemetry(Protocol):
    def span(self, name: SpanName, trace: TraceContext, **attributes: str | float) -> AbstractContextManager[Span]:
        """Times the block as a part of `trace`. A turn keeps the value and goes on under it after its request ended."""
        ...

    def count(self, event: Counted, **labels: str) -> None:
        """One more. Labels are closed words, catalogue or provider ids; never tenant, user, chat or request."""
        ...

    def measure(self, what: Measured, value: float, **labels: str) -> None:
        """One more value. Labels as those of `count`."""
        ...

    def gauge(self, what: Gauged, value: float, **labels: str) -> None:
        """How it stands from now on. Labels as those of `count`."""
        ...


class SilentSpan:
    __slots__ = ("trace",)

    def __init__(self, trace: TraceContext) -> None:
        self.trace = trace

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    def note(self, **attributes: str | float) -> None:
        pass

    def failed(self, error_type: str) -> None:
        pass


class SilentTelemetry:
    def span(self, name: SpanName, trace: TraceContext, **attributes: str | float) -> SilentSpan:  # noqa: ARG002 - silent
        return SilentSpan(trace)

    def count(self, event: Counted, **labels: str) -> None:
        pass

    def measure(self, what: Measured, value: float, **labels: str) -> None:
        pass

    def gauge(self, what: Gauged, value: float, **labels: str) -> None:
        pass
