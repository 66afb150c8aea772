"""How a scripted call is told: what happens, and the pauses between."""

import math
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

import msgspec

from domain.providers.events import ProviderEvent

_EVENTS_PER_BEAT: Final = 64


class Beat(msgspec.Struct, frozen=True):
    """Events that arrive together after a pause, which may be infinite."""

    pause_ms: float
    events: tuple[ProviderEvent, ...]


class Pause(msgspec.Struct, frozen=True):
    ms: float


class ScriptedBug(Exception):
    """What a script may raise in place of an adapter."""


Step: TypeAlias = Pause | ProviderEvent | ScriptedBug

FOR_EVER: Final = Pause(math.inf)


def in_beats(steps: Iterable[Step]) -> Iterator[Beat]:
    """Text that needs no pause comes in groups, so that a reader gets a chance between them. Raises a ScriptedBug."""
    pause_ms = 0.0
    events: list[ProviderEvent] = []
    for step in steps:
        ends_group = isinstance(step, ScriptedBug) or (isinstance(step, Pause) and step.ms > 0)
        if events and (ends_group or len(events) == _EVENTS_PER_BEAT):
            yield Beat(pause_ms, tuple(events))
            pause_ms, events = 0.0, []
        if isinstance(step, ScriptedBug):
            raise step
        if isinstance(step, Pause):
            pause_ms += step.ms
        else:
            events.append(step)
    yield Beat(pause_ms, tuple(events))
