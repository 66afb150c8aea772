"""The way to one provider: calls are let through or turned away at once, and what becomes of them is kept account of
(providers-and-files.md 1.8, engine.md 11.1).
"""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from domain.clock import Clock
from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.events import Completed, Failed
from domain.telemetry.ports import Counted, Gauged, Measured, SilentTelemetry, Telemetry
from infra.providers.anomalies import Anomalies
from infra.providers.circuit import Circuit, CircuitRules, CircuitState, Fate, Passage
from infra.providers.redaction import Redaction

_log = logging.getLogger(__name__)

_BUSY: Final = timedelta(seconds=1)
_HUNDRED: Final = 100
_FAILING: Final = frozenset(
    {
        FailureKind.OVERLOADED,
        FailureKind.SERVER_ERROR,
        FailureKind.TIMEOUT,
        FailureKind.BAD_RESPONSE,
        FailureKind.INTERRUPTED,
    }
)
_OURS: Final = frozenset({FailureKind.BUSY_LOCAL, FailureKind.MISCONFIGURED, FailureKind.INTERNAL})
_ALARMING: Final = frozenset({FailureKind.AUTH, FailureKind.ACCOUNT_EXHAUSTED, FailureKind.MISCONFIGURED})
"""What nobody but an operator can set right."""
_SHOWN_AS: Final = {CircuitState.CLOSED: 0, CircuitState.HALF_OPEN: 1, CircuitState.OPEN: 2}


class CallGate:
    """`when_refused` is called whenever the provider does not accept our key."""

    def __init__(
        self,
        provider_id: str,
        clock: Clock,
        telemetry: Telemetry,
        *,
        max_streams: int,
        rules: CircuitRules,
        redaction: Redaction,
        when_refused: Callable[[], None],
    ) -> None:
        self.provider_id = provider_id
        self._clock = clock
        self._telemetry = telemetry
        self._circuit = Circuit(rules, clock.monotonic)
        self._max_streams = max_streams
        self._redaction = redaction
        self._when_refused = when_refused
        self._running = 0
        self._shown: CircuitState | None = None
        self._alarmed = False

    @classmethod
    def open_to_all(cls, clock: Clock) -> "CallGate":
        """Of a provider that stands alone: nothing is reported, and only its circuit turns calls away."""
        return cls(
            "",
            clock,
            SilentTelemetry(),
            max_streams=10_000,
            rules=CircuitRules(),
            redaction=Redaction(),
            when_refused=lambda: None,
        )

    @property
    def state(self) -> CircuitState:
        return self._circuit.state

    @property
    def closed_for(self) -> timedelta | None:
        """After how long a call may get through; None if the next one does."""
        if self._running >= self._max_streams:
            return _BUSY
        wait_s = self._circuit.closed_for_s
        return timedelta(seconds=wait_s) if wait_s > 0 else None

    def enter(self) -> "PassedCall | ProviderFailure":
        """Asked once for each call; what is let through has to end."""
        wait = self.closed_for
        passage = None if wait else self._circuit.enter()
        self._show()
        if passage is None:
            return self._turned_away(wait or _BUSY)
        self._running += 1
        return PassedCall(self, passage)

    def has_answered(self, status: int, latency_ms: float) -> None:
        group = f"{status // _HUNDRED}xx"
        self._telemetry.count(Counted.PROVIDER_REQUESTS, provider=self.provider_id, result=group)
        self._telemetry.measure(Measured.PROVIDER_LATENCY, latency_ms, provider=self.provider_id, result=group)

    def has_ended(self, terminal: Completed | Failed | None, anomalies: Anomalies) -> None:
        self._running -= 1
        self._show()
        for kind in anomalies:
            self._telemetry.count(Counted.PROVIDER_ANOMALIES, provider=self.provider_id, kind=kind.value)
        if isinstance(terminal, Failed):
            self._failed(terminal.failure)
        elif terminal is not None and self._alarmed:
            self._alarm(on=False)

    def was_unanswered(self) -> None:
        self._telemetry.count(Counted.PROVIDER_REQUESTS, provider=self.provider_id, result="none")

    @property
    def monotonic(self) -> Callable[[], float]:
        return self._clock.monotonic

    def _turned_away(self, wait: timedelta) -> ProviderFailure:
        failure = ProviderFailure(
            kind=FailureKind.BUSY_LOCAL,
            retry_after_ms=int(wait.total_seconds() * 1000) + 1,
            detail=f"circuit {self.state.value}, {self._running} calls",
        )
        self._failed(failure)
        return failure

    def _failed(self, failure: ProviderFailure) -> None:
        kind = failure.kind
        self._telemetry.count(Counted.PROVIDER_ERRORS, provider=self.provider_id, kind=kind.value)
        detail = self._redaction.of(failure.detail)
        _log.warning(
            "provider_call_failed", extra={"provider": self.provider_id, "kind": kind.value, "error_detail": detail}
        )
        if kind is FailureKind.AUTH:
            self._when_refused()
        if kind in _ALARMING and not self._alarmed:
            self._alarm(on=True)
            _log.error("provider_needs_operator", extra={"provider": self.provider_id, "kind": kind.value})

    def _alarm(self, *, on: bool) -> None:
        self._alarmed = on
        self._telemetry.gauge(Gauged.PROVIDER_ALARM, float(on), provider=self.provider_id)

    def _show(self) -> None:
        state = self._circuit.state
        if state is self._shown:
            return
        if self._shown is not None:
            _log.warning("provider_circuit", extra={"provider": self.provider_id, "state": state.value})
        self._shown = state
        self._telemetry.gauge(Gauged.BREAKER_STATE, _SHOWN_AS[state], provider=self.provider_id)


class PassedCall:
    """One call that was let through."""

    __slots__ = ("_answered", "_gate", "_passage", "_started")

    def __init__(self, gate: CallGate, passage: Passage) -> None:
        self._gate = gate
        self._passage = passage
        self._started = gate.monotonic()
        self._answered = False

    def answered(self, status: int) -> None:
        self._answered = True
        self._gate.has_answered(status, (self._gate.monotonic() - self._started) * 1000)

    def speaks(self) -> None:
        self._passage.speaks()

    def ends(self, terminal: Completed | Failed | None, anomalies: Anomalies, *, called: bool) -> None:
        """`terminal` is None for a call that was given up."""
        self._passage.ends(fate_of(terminal, called=called))
        if not self._answered:
            self._gate.was_unanswered()
        self._gate.has_ended(terminal, anomalies)


def fate_of(terminal: Completed | Failed | None, *, called: bool) -> Fate:
    """What the end of a call says about the provider."""
    if terminal is None:
        return Fate.UNKNOWN
    if isinstance(terminal, Completed):
        return Fate.ANSWERED
    kind = terminal.failure.kind
    if kind in _OURS:
        return Fate.UNKNOWN
    if kind is FailureKind.UNREACHABLE or (kind is FailureKind.TIMEOUT and not called):
        return Fate.UNREACHED
    return Fate.FAILED if kind in _FAILING else Fate.ANSWERED
