"""Keeps calls away from a provider that fails them (providers-and-files.md 1.8). No I/O, no timer; the clock is given.

closed: many calls fail, or nobody is there → open; time passes → half open: a probe fails → open, all of them are
answered → closed.
"""

from collections import deque
from collections.abc import Callable
from enum import Enum

import msgspec

_SOON_S = 1.0


class CircuitState(Enum):
    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


class CircuitRules(msgspec.Struct, frozen=True, kw_only=True):
    """Opens when `unreached` calls in a row found nobody, or when of at least `calls` the `bad_share` failed, each
    within `window_s`; after `open_s` it lets `probes` calls through. `unreached` 0: it never opens.
    """

    window_s: float = 30.0
    unreached: int = 10
    calls: int = 20
    bad_share: float = 0.5
    open_s: float = 10.0
    probes: int = 3


class Fate(Enum):
    """What a call says about the provider: a refusal of the request is an answer, a cancelled call says nothing."""

    ANSWERED = "answered"
    FAILED = "failed"
    UNREACHED = "unreached"
    UNKNOWN = "unknown"


class Passage:
    """One call that was let through. What it says counts only for the state that it was let through in."""

    __slots__ = ("_circuit", "_era", "_is_probe")

    def __init__(self, circuit: "Circuit", era: int, *, is_probe: bool) -> None:
        self._circuit = circuit
        self._era = era
        self._is_probe = is_probe

    def speaks(self) -> None:
        """It may speak for minutes yet; for a probe it is enough that it has begun."""
        if self._is_probe:
            self.ends(Fate.ANSWERED)

    def ends(self, fate: Fate) -> None:
        """Told again it changes nothing."""
        era, self._era = self._era, -1
        self._circuit.note(fate, era)


class Circuit:
    """Of one provider in this process."""

    def __init__(self, rules: CircuitRules, monotonic: Callable[[], float]) -> None:
        self._rules = rules
        self._monotonic = monotonic
        self._era = 0
        self._opened_at: float | None = None
        self._probing = 0
        self._proven = 0
        self._calls: deque[tuple[float, bool]] = deque()
        self._failures = 0
        self._unreached: deque[float] = deque(maxlen=rules.unreached)

    @property
    def state(self) -> CircuitState:
        if self._opened_at is None:
            return CircuitState.CLOSED
        return CircuitState.OPEN if self._monotonic() < self._opens_until else CircuitState.HALF_OPEN

    @property
    def closed_for_s(self) -> float:
        """How long the next call has to wait; 0 if it would be let through."""
        if self._opened_at is None:
            return 0.0
        left_s = self._opens_until - self._monotonic()
        if left_s > 0:
            return left_s
        return 0.0 if self._has_probes_left else _SOON_S

    def enter(self) -> Passage | None:
        """Asked once for each call; None: it must not be made."""
        if self.closed_for_s > 0:
            return None
        is_probe = self._opened_at is not None
        self._probing += is_probe
        return Passage(self, self._era, is_probe=is_probe)

    def note(self, fate: Fate, era: int) -> None:
        if era != self._era:
            return
        if self._opened_at is None:
            self._count(fate)
        else:
            self._note_probe(fate)

    @property
    def _opens_until(self) -> float:
        return (self._opened_at or 0.0) + self._rules.open_s

    @property
    def _has_probes_left(self) -> bool:
        return self._probing + self._proven < self._rules.probes

    def _count(self, fate: Fate) -> None:
        if fate is Fate.UNKNOWN or self._rules.unreached == 0:
            return
        now = self._monotonic()
        self._calls.append((now, fate is not Fate.ANSWERED))
        self._failures += fate is not Fate.ANSWERED
        self._forget_before(now - self._rules.window_s)
        if fate is Fate.UNREACHED:
            self._unreached.append(now)
        else:
            self._unreached.clear()
        if self._is_unreachable(now) or self._is_failing:
            self._change(opened_at=now)

    def _forget_before(self, then: float) -> None:
        while self._calls[0][0] < then:
            self._failures -= self._calls.popleft()[1]

    def _is_unreachable(self, now: float) -> bool:
        run = self._unreached
        return len(run) == self._rules.unreached and now - run[0] <= self._rules.window_s

    @property
    def _is_failing(self) -> bool:
        calls = len(self._calls)
        return calls >= self._rules.calls and self._failures >= calls * self._rules.bad_share

    def _note_probe(self, fate: Fate) -> None:
        self._probing -= 1
        if fate is Fate.ANSWERED:
            self._proven += 1
            if self._proven == self._rules.probes:
                self._change(opened_at=None)
        elif fate is not Fate.UNKNOWN:
            self._change(opened_at=self._monotonic())

    def _change(self, *, opened_at: float | None) -> None:
        """A new era: calls of the one before have no say in it."""
        self._era += 1
        self._opened_at = opened_at
        self._probing = self._proven = self._failures = 0
        self._calls.clear()
        self._unreached.clear()
