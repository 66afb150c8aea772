"""Which distributed trace a call belongs to (W3C Trace Context, level 1)."""

import re
import secrets

import msgspec

_TRACEPARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace_id>[0-9a-f]{32})-(?P<span_id>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<rest>-.*)?"
)
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16
_SAMPLED = 0x01


class TraceContext(msgspec.Struct, frozen=True, kw_only=True):
    """`trace_id` is 32, `span_id` 16 lower-case hex digits, never all zero; the span is the parent of what follows.

    `is_new` where nobody began the trace before us: then no such span exists, and the next one is the root.
    """

    trace_id: str
    span_id: str
    sampled: bool
    is_new: bool = False

    def traceparent(self) -> str:
        """The header for the next hop, always version 00."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


def new_trace() -> TraceContext:
    return TraceContext(trace_id=_random_hex(16), span_id=_random_hex(8), sampled=True, is_new=True)


def trace_from(traceparent: str | None) -> TraceContext:
    """The caller's trace; a new one when the header is absent, malformed or all zero (api.md 1.4)."""
    return _parsed(traceparent) or new_trace()


def _parsed(traceparent: str | None) -> TraceContext | None:
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if match is None or match["version"] == "ff":
        return None
    # A later version may append fields, version 00 may not.
    if match["version"] == "00" and match["rest"] is not None:
        return None
    if match["trace_id"] == _NO_TRACE or match["span_id"] == _NO_SPAN:
        return None
    return TraceContext(
        trace_id=match["trace_id"], span_id=match["span_id"], sampled=bool(int(match["flags"], 16) & _SAMPLED)
    )


def _random_hex(length_bytes: int) -> str:
    while True:
        value = secrets.token_hex(length_bytes)
        if value.strip("0"):
            return value
