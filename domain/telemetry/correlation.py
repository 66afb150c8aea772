"""What ties log lines to the call that caused them; follows the flow of control into tasks it starts."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import msgspec

from domain.telemetry.trace_context import TraceContext, new_trace


class Correlation(msgspec.Struct, frozen=True, kw_only=True):
    request_id: str
    trace: TraceContext


_current: ContextVar[Correlation | None] = ContextVar("correlation", default=None)


def current_correlation() -> Correlation | None:
    return _current.get()


def current_trace() -> TraceContext:
    """That of the call being served, else a new one."""
    correlation = _current.get()
    return new_trace() if correlation is None else correlation.trace


@contextmanager
def correlated(correlation: Correlation) -> Iterator[None]:
    """Everything logged inside, and by tasks started inside, carries these ids."""
    token = _current.set(correlation)
    try:
        yield
    finally:
        _current.reset(token)
