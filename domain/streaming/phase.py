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


TRANSITIONS: dict[Phase, dict[type[StreamEvent], Phase]] = {
    Phase.IDLE: {StreamStarted: Phase.STARTED},
    Phase.STARTED: {
        Delta: Phase.STREAMING,
        Tool: Phase.STREAMING,
        Citations: Phase.CITED,
        Done: Phase.ENDED,
        TurnError: Phase.ENDED,
    },
    Phase.STREAMING: {
        Delta: Phase.STREAMING,
        Tool: Phase.STREAMING,
        Citations: Phase.CITED,
        Done: Phase.ENDED,
        TurnError: Phase.ENDED,
    },
    Phase.CITED: {Done: Phase.ENDED, TurnError: Phase.ENDED},
    Phase.ENDED: {},
}


class PhaseViolation(Exception):
    """An event came out of order: our own fault, never a client's or a provider's."""


class Grammar:
    """Where one stream stands. It is asked once for every delta, so it keeps the row of its phase at hand."""

    __slots__ = ("_allowed", "phase")

    def __init__(self) -> None:
        self.phase = Phase.IDLE
        self._allowed = TRANSITIONS[Phase.IDLE]

    def advance(self, event: StreamEvent) -> None:
        """Raises PhaseViolation for an event that is not allowed here, and then nothing has changed."""
        phase = self._allowed.get(type(event))
        if phase is None:
            raise PhaseViolation(f"{type(event).__name__} in {self.phase.name}")
        if phase is not self.phase:
            self.phase, self._allowed = phase, TRANSITIONS[phase]
