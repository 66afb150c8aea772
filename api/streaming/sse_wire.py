"""Events as bytes of a `text/event-stream` (api.md 4.1): LF only, three lines a frame, no I/O."""

from collections.abc import Sequence

import msgspec

from domain.streaming.events import NAMES, Numbered, StreamEvent

COMMENT = b": ping\n\n"

_NAMES: dict[type[StreamEvent], bytes] = {kind: name.encode() for kind, name in NAMES.items()}

_json = msgspec.json.Encoder()


def frames(events: Sequence[Numbered]) -> bytes:
    """All of them in one piece, so that what waited together leaves in one send."""
    if len(events) == 1:
        return frame(*events[0])
    return b"".join([frame(number, event) for number, event in events])


def frame(number: int, event: StreamEvent) -> bytes:
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (number, _NAMES[type(event)], _json.encode(event))


def ping(number: int) -> bytes:
    """A keep-alive that takes no number: it repeats the last one, so a stored last id never moves."""
    return b"id: %d\nevent: ping\ndata: {}\n\n" % number
