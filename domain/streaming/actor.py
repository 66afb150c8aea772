"""One turn from its first event to its last: provider → transcript → feed → books → terminal event."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence

import anyio
from anyio.lowlevel import checkpoint

from domain.errors import ServiceUnavailable
from domain.providers.events import Failed, ProviderEvent
from domain.providers.ports import CallControl, Provider
from domain.providers.request import ProviderRequest
from domain.streaming.channel import Receiver
from domain.streaming.events import Citations, Done, StreamStarted, SummaryApplied, TurnError
from domain.streaming.failures import turn_error
from domain.streaming.fallback import Fallback, is_silent, leaves_to_another
from domain.streaming.feed import Feed
from domain.streaming.models import INTERNAL_FAULT, INTERRUPTED, Ending, Stopped, StopReason, StreamLimits
from domain.streaming.phase import PhaseViolation
from domain.streaming.ports import Books, Closing, TurnBrief
from domain.streaming.transcript import Transcript
from domain.telemetry.ports import Counted, Span, SpanName, Telemetry

_log = logging.getLogger(__name__)


class TurnActor:
    """Runs one turn and always returns: the task group it lives in holds the turns of every tenant.

    Upstream first, books second: by the time anything waits for the database the provider connection is gone.
    """

    def __init__(
        self,
        brief: TurnBrief,
        provider: Provider,
        request: ProviderRequest,
        transcript: Transcript,
        feed: Feed,
        books: Books,
        limits: StreamLimits,
        telemetry: Telemetry,
        monotonic: Callable[[], float],
        fallback: Fallback | None = None,
    ) -> None:
        self.brief = brief
        self.transcript = transcript
        self.feed = feed
        self.control = CallControl()
        self._provider = provider
        self._request = request
        self._books = books
        self._limits = limits
        self._telemetry = telemetry
        self._monotonic = monotonic
        self._fallback = fallback
        self._may_have_gone_over = False
        self._scope = anyio.CancelScope()
        self._stop_reason: StopReason | None = None
        self._stopped_at = 0.0
        self._settling = False

    def stop(self, reason: StopReason) -> None:
        """The one door for stopping: synchronous, idempotent, safe in any `finally`.

        The first ending wins: the provider's own, the deadline's, or the first reason given here.
        """
        if self._settling:
            return
        if self.transcript.ending is None and not self._scope.cancel_called:
            self._stop_reason = reason
            self._stopped_at = self._monotonic()
        self.control.cancelled = True
        self._scope.cancel()

    def begin(self) -> None:
        """Publishes the first event, so that it is there before anybody can join; the rest is `run`."""
        self.feed.publish(self._started(is_new_turn=True))

    def attach(self, position: int, instead_of: Receiver | None = None) -> Receiver:
        """A further reader, or one `instead_of` another, who has had what is up to `position`. Raises RateLimited."""
        started = self._started(is_new_turn=False)
        return self.feed.join(position, started, lambda: self.transcript.text, self._limits, instead_of)

    async def run(self) -> None:
        try:
            await self._run_to_its_end()
        except asyncio.CancelledError:  # noqa: ASYNC103 - re-raised when it is ours
            # Nobody's cancellation: it comes from a future that was cancelled while we waited for it.
            if _being_cancelled():
                raise
            _log.exception("turn_leaked_cancellation")

    async def _run_to_its_end(self) -> None:
        ending: Ending = INTERNAL_FAULT
        try:
            ending = await self._generate()
        finally:
            # A plain statement after the scope would be skipped when the whole group is cancelled.
            self._settling = True
            with anyio.CancelScope(shield=True):
                await self._settle(ending)

    async def _generate(self) -> Ending:
        try:
            self._scope.deadline = anyio.current_time() + self._limits.turn_deadline.total_seconds()
            with self._scope:
                await self._relay()
        except PhaseViolation:
            self._telemetry.count(Counted.GRAMMAR_VIOLATION, kind="turn")
            _log.exception("turn_phase_violation")
            return INTERNAL_FAULT
        except Exception:
            _log.exception("turn_failed")
            return self._first_ending() or INTERNAL_FAULT
        return self._first_ending() or INTERRUPTED

    def _first_ending(self) -> Ending | None:
        """None when the provider ended by itself and without a terminal."""
        if self._stop_reason is not None:
            return Stopped(reason=self._stop_reason)
        if self.transcript.ending is None and self._scope.cancel_called:
            return Stopped(reason=StopReason.TURN_TIMEOUT)
        return self.transcript.ending

    async def _relay(self) -> None:
        refused_for = await self._books.may_call(self.brief)
        if refused_for is not None:
            self.stop(refused_for)
            return
        failed = await self._call()
        if failed is not None and not await self._has_gone_over():
            self.transcript.fold(failed)
        elif failed is not None:
            await self._call()

    async def _call(self) -> Failed | None:
        """A failure that is nobody's yet: another model may make it good."""
        model = self.brief.resolution.effective
        span = self._telemetry.span(
            SpanName.PROVIDER,
            self.brief.trace,
            gen_ai__operation__name="chat",
            gen_ai__provider__name=model.provider_id,
            gen_ai__request__model=model.id,
            gen_ai__request__max_tokens=self._request.max_output_tokens,
        )
        with span as entered:
            async with self._provider.stream(self._request, self.control) as batches:
                failed = await self._publish_all(batches)
            self._note_remote(entered)
        return failed

    async def _has_gone_over(self) -> bool:
        """To the other model, and the books say so before it is called. At most once."""
        spare, self._fallback = self._fallback, None
        if spare is None or not spare.is_offered():
            return False
        refused_for: StopReason | None = None
        # Whole or not at all: a turn that was stopped in between would be settled as another than its row says.
        with anyio.CancelScope(shield=True):
            try:
                refused_for = await self._books.may_call_instead(spare.brief)
            except ServiceUnavailable:
                self._may_have_gone_over = True
                return False
        if refused_for is not None:
            self.stop(refused_for)
            return False
        first, then = self.brief.resolution.effective, spare.brief.resolution.effective
        self._telemetry.count(Counted.PROVIDER_FALLBACK, provider=first.provider_id, model=first.id)
        _log.warning("turn_went_over", extra={"turn_id": str(self.brief.turn_id), "from": first.id, "to": then.id})
        self.brief, self._provider, self._request = spare.brief, spare.provider, spare.request
        self.control = CallControl()
        self.transcript.is_of(exposes_reasoning=then.exposes_reasoning, tool_limits=spare.brief.tool_limits)
        spare.on_taken()
        await checkpoint()
        # Whoever switched it off meanwhile looked for turns of this model before there was one.
        return spare.is_offered()

    def _note_remote(self, span: Span) -> None:
        """Ids of theirs are for whoever asks them about a call; nobody else gets to see one."""
        transcript = self.transcript
        names = {"gen_ai__response__id": transcript.remote_id, "gen_ai__response__model": transcript.remote_model}
        span.note(**{name: value for name, value in names.items() if value})

    async def _publish_all(self, batches: AsyncIterator[Sequence[ProviderEvent]]) -> Failed | None:
        feed, fold = self.feed, self.transcript.fold
        async for batch in batches:
            if self._fallback is not None:
                failed = leaves_to_another(batch, called=self.control.called)
                if failed is not None:
                    return failed
                self._commit_unless_silent(batch)
            for event in batch:
                published = fold(event)
                if published is not None:
                    feed.append(published)
                    if feed.full:
                        await self._make_room()
            feed.announce()
            if self.transcript.ending is not None:
                break
        return None

    def _commit_unless_silent(self, batch: Sequence[ProviderEvent]) -> None:
        if not is_silent(batch):
            self._fallback = None

    async def _make_room(self) -> None:
        self.feed.announce()
        if self.feed.full:
            await self.feed.wait_for_room(self._limits.send_deadline)

    async def _settle(self, ending: Ending) -> None:
        terminal: Done | TurnError = turn_error("internal_error", self.brief.trace.trace_id, retryable=True)
        try:
            if self.transcript.citations:
                self.feed.publish(Citations(tuple(self.transcript.citations)))
            terminal = await self._books.finish(self._closing(ending))
        except Exception:
            _log.exception("turn_settlement_failed")
        finally:
            self.feed.end(terminal)

    def _closing(self, ending: Ending) -> Closing:
        return Closing(
            brief=self.brief,
            ending=ending,
            transcript=self.transcript,
            provider_called=self.control.called,
            last_number=self.feed.next_number,
            upstream_closed_ms=self._upstream_closed_ms(),
            may_have_gone_over=self._may_have_gone_over,
        )

    def _upstream_closed_ms(self) -> int | None:
        if self._stop_reason is None or self.control.closed_at is None:
            return None
        return max(0, int((self.control.closed_at - self._stopped_at) * 1000))

    def _started(self, *, is_new_turn: bool) -> StreamStarted:
        brief = self.brief
        return StreamStarted(
            request_id=str(brief.request_id),
            message_id=str(brief.message_id),
            is_new_turn=is_new_turn,
            thread_summary_applied=None if brief.recap_tokens is None else SummaryApplied(brief.recap_tokens),
        )


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
