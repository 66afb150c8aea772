"""A turn retold in few events: its start, all of its text at once, and what followed the text (api.md 4.5). Pure."""

from collections.abc import Sequence

from domain.streaming.events import FIRST_NUMBER, Delta, Numbered, StreamEvent, StreamStarted


def condensed(started: StreamStarted, text: str, rest: Sequence[StreamEvent], last_number: int) -> list[Numbered]:
    """`stream_started` is 1 and the last event keeps its number; what stands between counts down from it."""
    told: list[StreamEvent] = [Delta("text", text)] if text else []
    told.extend(rest)
    first = last_number - len(told) + 1
    return [(FIRST_NUMBER, started), *enumerate(told, start=first)]
