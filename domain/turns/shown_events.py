"""Events of a turn as one process shows them to another."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from domain.streaming.events import NAMES, Numbered, StreamEvent

_KINDS: Final[Mapping[str, Any]] = {name: kind for kind, name in NAMES.items()}


class ShownEvent(msgspec.Struct, frozen=True, array_like=True):
    number: int
    kind: str
    data: msgspec.Raw


def shown(events: Sequence[Numbered]) -> tuple[ShownEvent, ...]:
    return tuple(
        ShownEvent(number, NAMES[type(event)], msgspec.Raw(msgspec.json.encode(event))) for number, event in events
    )


def seen(events: Sequence[ShownEvent]) -> list[Numbered]:
    """Raises ValueError for what this program does not know: a newer one may be at the other end."""
    return [(each.number, _event(each)) for each in events]


def _event(event: ShownEvent) -> StreamEvent:
    kind = _KINDS.get(event.kind)
    if kind is None:
        raise ValueError(event.kind)
    decoded: StreamEvent = msgspec.json.decode(event.data, type=kind)
    return decoded
