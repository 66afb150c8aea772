"""The grammar of a stream (api.md 4.3).

    stream_started ping* (delta | tool)* citations? (done | error)

Keep-alives are no events of a turn: each connection makes its own, and asks here only which form fits.
"""

from enum import Enum, auto

from domain.streaming.events import Citations, Delta, Done, StreamEvent, StreamStarted, Tool, TurnError


class Phase(Enum):
    IDLE = auto()
    STARTED = auto()
    STREAMING = auto()
    CITED = auto()
    ENDED = auto()


TRANSITIONS: dict[tuple[Phase, type[StreamEvent]], Phase] = {
    (Phase.IDLE, StreamStarted): Phase.STARTED,
    (Phase.STARTED, Delta): Phase.STREAMING,
    (Phase.STARTED, Tool): Phase.STREAMING,
    (Phase.STARTED, Citations): Phase.CITED,
    (Phase.STARTED, Done): Phase.ENDED,
    (Phase.STARTED, TurnError): Phase.ENDED,
    (Phase.STREAMING, Delta): Phase.STREAMING,
    (Phase.STREAMING, Tool): Phase.STREAMING,
    (Phase.STREAMING, Citations): Phase.CITED,
    (Phase.STREAMING, Done): Phase.ENDED,
    (Phase.STREAMING, TurnError): Phase.ENDED,
    (Phase.CITED, Done): Phase.ENDED,
    (Phase.CITED, TurnError): Phase.ENDED,
}


class PhaseViolation(Exception):
    """An event came out of order: our own fault, never a client's or a provider's."""


def advance(phase: Phase, event: StreamEvent) -> Phase:
    """The phase after this event. Raises PhaseViolation for an event the grammar does not allow here."""
    try:
        return TRANSITIONS[phase, type(event)]
    except KeyError:
        raise PhaseViolation(f"{type(event).__name__} in {phase.name}") from None
