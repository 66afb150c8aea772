"""The scripted model as a provider: paces a script and lives by the same deadlines and cancellation as a remote."""

import asyncio
import math
from collections.abc import Iterator
from types import TracebackType
from typing import Final, Self

import anyio
from anyio.lowlevel import checkpoint

from domain.clock import Clock
from domain.providers.capabilities import Capabilities
from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.events import Completed, Failed, ProviderEvent, ReasoningDelta, TextDelta, ToolDone, ToolStart
from domain.providers.ports import CallControl, CallState
from domain.providers.request import ProviderRequest
from infra.providers.adapters.scripted.beats import Beat
from infra.providers.adapters.scripted.name import MalformedName, parse_name
from infra.providers.adapters.scripted.rules import ScriptedRules
from infra.providers.adapters.scripted.script import script
from infra.providers.adapters.scripted.script_file import ScriptFile

_SPEECH = (TextDelta, ReasoningDelta, ToolStart, ToolDone)

_CAPABILITIES: Final = Capabilities(web_search=True, code_interpreter=True, function_tools=True, reasoning=True)


class ScriptedProvider:
    """Fills `Provider` without key or network; `seed` is used where a model's name sets none.

    A script's rules come before what the name says, and so does its seed.
    """

    def __init__(self, clock: Clock, seed: int, script: ScriptFile | None = None) -> None:
        self.capabilities = _CAPABILITIES
        self.clock = clock
        self._rules = ScriptedRules(script or ScriptFile(rules=()))
        self._seed = seed if self._rules.seed is None else self._rules.seed

    def beats(self, request: ProviderRequest) -> Iterator[Beat]:
        """What happens in the call that begins now. Raises MalformedName for a model that only a rule could play."""
        told = self._rules.beats(request)
        return told or script(self._rules.otherwise or parse_name(request.model), request, self._seed)

    def stream(self, request: ProviderRequest, control: CallControl) -> "ScriptedStream":
        return ScriptedStream(self, request, control)


class ScriptedStream:
    def __init__(self, provider: ScriptedProvider, request: ProviderRequest, control: CallControl) -> None:
        self._clock = provider.clock
        self._control = control
        self._deadlines = request.deadlines
        self._ended = False
        self._silent = True
        self._tool_open = False
        self._first_token_by = math.inf
        try:
            self._beats = provider.beats(request)
        except MalformedName:
            unknown = ProviderFailure(kind=FailureKind.REJECTED, detail="unknown scripted model")
            self._beats = iter([Beat(0, (Failed(failure=unknown),))])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._control.called:
            self._control.closed_at = self._clock.monotonic()
            self._control.state = CallState.ENDED

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[ProviderEvent, ...]:
        if self._ended or self._control.cancelled:
            raise StopAsyncIteration
        if not self._control.called:
            self._send()
        beat = next(self._beats)
        events = beat.events if await self._in_time(beat.pause_ms / 1000) else (self._timeout(),)
        if self._control.cancelled:
            raise StopAsyncIteration
        self._note(events)
        return events

    def _send(self) -> None:
        self._control.state = CallState.SENT
        self._first_token_by = asyncio.get_running_loop().time() + self._deadlines.first_token.total_seconds()

    async def _in_time(self, pause_s: float) -> bool:
        """Sleeps the pause, or only as long as the present phase may be silent, which is then over."""
        limit_s = self._limit_s()
        if pause_s <= 0:
            await checkpoint()
        else:
            await anyio.sleep(min(pause_s, limit_s))
        return pause_s <= limit_s

    def _limit_s(self) -> float:
        if self._silent:
            return max(0.0, self._first_token_by - asyncio.get_running_loop().time())
        limit = self._deadlines.tool_idle if self._tool_open else self._deadlines.idle
        return limit.total_seconds()

    def _timeout(self) -> Failed:
        phase = "first_token" if self._silent else "tool_idle" if self._tool_open else "idle"
        return Failed(failure=ProviderFailure(kind=FailureKind.TIMEOUT, detail=f"{phase} deadline"))

    def _note(self, events: tuple[ProviderEvent, ...]) -> None:
        self._control.state = CallState.RESPONDED
        if self._silent and any(isinstance(event, _SPEECH) for event in events):
            self._silent = False
        self._tool_open = isinstance(events[-1], ToolStart)
        self._ended = isinstance(events[-1], (Completed, Failed))
