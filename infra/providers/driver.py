"""One streaming call over HTTP: all its sockets, timers, limits and its end, whatever the adapter."""

from types import TracebackType
from typing import Self

import aiohttp
import msgspec

from domain.clock import Clock
from domain.providers.capabilities import Capabilities
from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.events import (
    Accepted,
    Completed,
    Failed,
    Finish,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    ToolDone,
    ToolStart,
)
from domain.providers.ports import CallControl, CallState
from domain.providers.request import ProviderRequest
from infra.providers.adapter import Adapter
from infra.providers.anomalies import Anomalies, Anomaly
from infra.providers.call_gate import CallGate, PassedCall
from infra.providers.http_pool import HttpPool
from infra.providers.open_tools import OpenTools
from infra.providers.opening import response_head
from infra.providers.refusal import is_event_stream, read_refusal
from infra.providers.sse_decoder import DONE, MAX_FRAME_BYTES, Frame, SseDecoder
from infra.providers.tool_pairs import ToolPairs
from infra.providers.watchdog import Watchdog

_GOODBYE_S = 2.0  # for usage and [DONE] after the reason to finish
_SPEECH = (TextDelta, ReasoningDelta, ToolStart)


class ResponseLimits(msgspec.Struct, frozen=True, kw_only=True):
    max_frame_bytes: int = MAX_FRAME_BYTES
    lenient_media_type: bool = False


class HttpProvider:
    """A `Provider` of any adapter; `anomalies` counts what was wrong but survivable over all its calls."""

    def __init__(
        self,
        pool: HttpPool,
        adapter: Adapter,
        clock: Clock,
        limits: ResponseLimits,
        gate: CallGate | None = None,
        *,
        connect_retries: int = 1,
    ) -> None:
        self.anomalies = Anomalies()
        self.pool = pool
        self.adapter = adapter
        self.clock = clock
        self.limits = limits
        self.gate = gate or CallGate.open_to_all(clock)
        self.connect_retries = connect_retries

    @property
    def capabilities(self) -> Capabilities:
        return self.adapter.capabilities

    def stream(self, request: ProviderRequest, control: CallControl) -> "HttpStream":
        return HttpStream(self, request, control)


class HttpStream:
    """The context manager and the iterator in one object: nothing is left to a generator's finalizer."""

    def __init__(self, provider: HttpProvider, request: ProviderRequest, control: CallControl) -> None:
        self._provider = provider
        self._request = request
        self._control = control
        self._anomalies = Anomalies()
        self._translator = provider.adapter.translator(request, self._anomalies)
        self._decoder = SseDecoder(max_frame_bytes=provider.limits.max_frame_bytes)
        self._watchdog = Watchdog(self._give_up)
        self._tools = OpenTools(request.deadlines.tool_idle.total_seconds())
        self._pairs = ToolPairs()
        self._passed: PassedCall | None = None
        self._terminal: Completed | Failed | None = None
        self._response: aiohttp.ClientResponse | None = None
        self._text_bytes_left = 16 * request.max_output_tokens + 65_536
        self._silent = True
        self._closing = False
        self._ended = False
        self._reusable = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watchdog.stop()
        if self._response is not None and self._reusable:
            self._provider.pool.linger(self._response)
        self._give_up(close=not self._reusable)
        self._account()
        if self._control.called:
            self._control.state = CallState.ENDED

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[ProviderEvent]:
        while not (self._ended or self._control.cancelled):
            batch = await self._begin() if self._response is None else await self._read(self._response)
            if batch and not self._control.cancelled:
                return self._given(batch)
        raise StopAsyncIteration

    def _given(self, batch: list[ProviderEvent]) -> list[ProviderEvent]:
        if self._ended and isinstance(last := batch[-1], (Completed, Failed)):
            self._terminal = last
        return self._pairs.completed(batch)

    async def _begin(self) -> list[ProviderEvent]:
        passed = self._provider.gate.enter()
        if isinstance(passed, ProviderFailure):
            return self._fails_to_begin(passed)
        self._passed = passed
        call = self._provider.adapter.encode(self._request)
        response = await response_head(
            self._provider.pool,
            call,
            self._request.deadlines,
            self._control,
            connect_retries=self._provider.connect_retries,
        )
        if isinstance(response, ProviderFailure):
            return self._fails_to_begin(response)
        self._response = response
        passed.answered(response.status)
        accepted = Accepted(response.status)
        if is_event_stream(response, lenient=self._provider.limits.lenient_media_type):
            self._watchdog.limit_phase(self._request.deadlines.first_token.total_seconds())
            return [accepted]
        self._ended = True
        return [accepted, await read_refusal(response)]

    def _fails_to_begin(self, failure: ProviderFailure) -> list[ProviderEvent]:
        self._ended = True
        return [Failed(failure=failure)]

    async def _read(self, response: aiohttp.ClientResponse) -> list[ProviderEvent]:
        self._watchdog.waiting()
        try:
            chunk = await response.content.readany()
        except (aiohttp.ClientError, OSError):
            return self._after_expiry() if self._watchdog.expired else self._after_loss(response)
        self._watchdog.resting()
        return self._take(chunk) if chunk else self._after_end()

    def _take(self, chunk: bytes) -> list[ProviderEvent]:
        batch = self._translate(self._decoder.feed(chunk))
        if not self._ended:
            self._measure(batch)
        if self._decoder.exceeded and not self._ended:
            batch += self._failure(FailureKind.BAD_RESPONSE, "frame or stream too large")
        return batch

    def _translate(self, frames: list[Frame]) -> list[ProviderEvent]:
        batch: list[ProviderEvent] = []
        for frame in frames:
            if not self._ended:
                batch += self._translator.on_frame(frame)
                self._ended = bool(batch) and isinstance(batch[-1], (Completed, Failed))
            elif frame.data != DONE:
                self._anomalies[Anomaly.AFTER_TERMINAL] += 1
        self._reusable = self._ended and isinstance(batch[-1], Completed)
        return batch

    def _measure(self, batch: list[ProviderEvent]) -> None:
        """Moves the deadline on, and ends an answer that is far longer than was asked for."""
        tools_changed = False
        for event in batch:
            if isinstance(event, (TextDelta, ReasoningDelta)):
                self._text_bytes_left -= len(event.text.encode())
            elif isinstance(event, (ToolStart, ToolDone)):
                self._tools.note(event, self._watchdog.now)
                tools_changed = True
        if self._text_bytes_left < 0:
            self._anomalies[Anomaly.RUNAWAY] += 1
            self._ended = True
            batch.append(Completed(finish=Finish.LENGTH))
        elif self._translator.finished:
            self._limit_goodbye()
        elif tools_changed or (self._silent and any(isinstance(event, _SPEECH) for event in batch)):
            self._begins_to_speak()
            self._limit_silence()

    def _begins_to_speak(self) -> None:
        self._silent = False
        if self._passed is not None:
            self._passed.speaks()

    def _limit_goodbye(self) -> None:
        if not self._closing:
            self._closing = True
            self._watchdog.limit_phase(_GOODBYE_S)

    def _limit_silence(self) -> None:
        """While a tool runs nothing needs to be said, but the tool has to end in time."""
        due = self._tools.first_due
        if due is None:
            self._watchdog.limit_each_wait(self._request.deadlines.idle.total_seconds())
        else:
            self._watchdog.limit_phase(due - self._watchdog.now)

    def _after_end(self) -> list[ProviderEvent]:
        batch = self._translate(self._decoder.finish())
        if not self._ended:
            batch += self._translator.on_eof()
            self._ended = True
        return batch

    def _after_loss(self, response: aiohttp.ClientResponse) -> list[ProviderEvent]:
        batch = self._take(_arrived_before_loss(response))
        return batch if self._ended else batch + self._after_end()

    def _after_expiry(self) -> list[ProviderEvent]:
        if self._translator.finished:
            return self._after_end()
        phase = "first_token" if self._silent else "idle" if self._tools.first_due is None else "tool_idle"
        return self._failure(FailureKind.TIMEOUT, f"{phase} deadline")

    def _failure(self, kind: FailureKind, detail: str) -> list[ProviderEvent]:
        self._ended = True
        return self._translator.on_failure(ProviderFailure(kind=kind, detail=detail))

    def _account(self) -> None:
        self._provider.anomalies.update(self._anomalies)
        passed, self._passed = self._passed, None
        if passed is not None:
            passed.ends(self._terminal, self._anomalies, called=self._control.called)

    def _give_up(self, *, close: bool = True) -> None:
        if self._response is not None and close:
            self._response.close()
        if self._control.called and self._control.closed_at is None:
            self._control.closed_at = self._provider.clock.monotonic()


def _arrived_before_loss(response: aiohttp.ClientResponse) -> bytes:
    """The client withholds buffered bytes once the connection has failed; they may hold the end of the answer."""
    response.content.set_exception(None)  # type: ignore[arg-type]
    return response.content.read_nowait()
