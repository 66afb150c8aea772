"""What every provider promises, whether it is a script or a server behind a socket."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import anyio
import pytest

from domain.clock import SystemClock
from domain.providers.errors import FailureKind
from domain.providers.events import Accepted, Completed, Failed, Finish, ProviderEvent, TextDelta
from domain.providers.ports import CallControl, CallState, Provider
from domain.providers.request import Deadlines, ProviderRequest
from infra.providers.adapters.scripted.adapter import ScriptedProvider
from infra.providers.settings import ProviderKind
from tests.contract.providers.scenes import MODELS, REPLIES, UNCOUNTED
from tests.harness.chat_upstream import chat_upstream
from tests.harness.provider_calls import collected, failure, failure_kind, request_for, said
from tests.harness.upstream import Upstream

BRIEF = timedelta(milliseconds=40)


class Stage:
    """Plays a scene on one kind of provider. `upstream` is None where there is no socket."""

    def __init__(self, provider: Provider, kind: ProviderKind, upstream: Upstream | None) -> None:
        self.provider = provider
        self.kind = kind
        self.upstream = upstream

    def request(self, scene: str, **changes: object) -> ProviderRequest:
        if self.upstream is not None:
            self.upstream.reply(REPLIES[self.kind][scene])
        return request_for(MODELS[scene], **changes)

    async def closed(self) -> None:
        if self.upstream is not None:
            await self.upstream.exchanges[-1].closed.wait()


@pytest.fixture(params=[ProviderKind.SCRIPTED, *REPLIES])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    kind: ProviderKind = request.param
    if kind is ProviderKind.SCRIPTED:
        yield Stage(ScriptedProvider(SystemClock(), seed=1), kind, None)
        return
    async with chat_upstream(kind=kind) as chat:
        yield Stage(chat.provider, kind, chat.upstream)
        assert chat.acquired == 0


@pytest.mark.parametrize("scene", sorted(set(MODELS) - {"never begins", "begins late", "falls silent"}))
async def test_exactly_one_terminal_comes_and_it_comes_last(stage: Stage, scene: str) -> None:
    with anyio.fail_after(5):
        await collected(stage.provider, stage.request(scene))


async def test_an_answer_is_accepted_said_and_counted(stage: Stage) -> None:
    events = await collected(stage.provider, stage.request("answers"))
    assert events[0] == Accepted(200)
    assert len(said(events).split()) == 3
    terminal = events[-1]
    assert isinstance(terminal, Completed)
    assert terminal.finish is Finish.STOP
    if stage.kind in UNCOUNTED:
        assert terminal.usage is None
        return
    assert terminal.usage is not None
    assert (terminal.usage.input_tokens, terminal.usage.output_tokens) == (4, 3)


@pytest.mark.parametrize(
    ("scene", "kind"),
    [
        ("fails", FailureKind.SERVER_ERROR),
        ("fails halfway", FailureKind.SERVER_ERROR),
        ("breaks off", FailureKind.INTERRUPTED),
        ("throttles", FailureKind.RATE_LIMITED),
        ("is overloaded", FailureKind.OVERLOADED),
        ("refuses the key", FailureKind.AUTH),
        ("cannot fit the prompt", FailureKind.CONTEXT_LENGTH),
        ("times out itself", FailureKind.TIMEOUT),
    ],
)
async def test_a_remote_failure_is_an_event_and_not_an_exception(stage: Stage, scene: str, kind: FailureKind) -> None:
    events = await collected(stage.provider, stage.request(scene))
    assert failure_kind(events) is kind


async def test_throttling_says_when_to_come_back(stage: Stage) -> None:
    assert failure(await collected(stage.provider, stage.request("throttles"))).retry_after_ms == 2_000


@pytest.mark.parametrize("scene", ["fails halfway", "breaks off"])
async def test_text_before_a_failure_is_kept(stage: Stage, scene: str) -> None:
    assert len(said(await collected(stage.provider, stage.request(scene))).split()) == 2


@pytest.mark.parametrize(
    ("scene", "reason"), [("withholds", Finish.CONTENT_FILTER), ("reaches the limit", Finish.LENGTH)]
)
async def test_endings_that_are_no_failures(stage: Stage, scene: str, reason: Finish) -> None:
    terminal = (await collected(stage.provider, stage.request(scene, max_output_tokens=5)))[-1]
    assert isinstance(terminal, Completed)
    assert terminal.finish is reason


@pytest.mark.parametrize("scene", ["never begins", "begins late"])
async def test_silence_before_the_first_token_is_a_timeout(stage: Stage, scene: str) -> None:
    started = time.monotonic()
    events = await collected(stage.provider, stage.request(scene, deadlines=Deadlines(first_token=BRIEF)))
    assert failure_kind(events) is FailureKind.TIMEOUT
    assert 0.03 < time.monotonic() - started < 1
    await stage.closed()


async def test_silence_in_mid_stream_is_a_timeout_that_keeps_the_text(stage: Stage) -> None:
    started = time.monotonic()
    events = await collected(stage.provider, stage.request("falls silent", deadlines=Deadlines(idle=BRIEF)))
    assert failure_kind(events) is FailureKind.TIMEOUT
    assert len(said(events).split()) == 2
    assert 0.03 < time.monotonic() - started < 1
    await stage.closed()


async def test_a_slow_reader_is_no_silence_of_the_remote(stage: Stage) -> None:
    request = stage.request("answers slowly", deadlines=Deadlines(idle=timedelta(milliseconds=200)))
    async with stage.provider.stream(request, CallControl()) as batches:
        events: list[ProviderEvent] = []
        async for batch in batches:
            events += batch
            if isinstance(batch[-1], TextDelta) and said(events).count(" ") == 1:
                await anyio.sleep(0.3)
    assert isinstance(events[-1], Completed)


async def test_the_control_tells_how_far_the_call_has_come(stage: Stage) -> None:
    control = CallControl()
    async with stage.provider.stream(stage.request("answers"), control) as batches:
        assert (control.state, control.called, control.closed_at) == (CallState.NOT_SENT, False, None)
        async for _ in batches:
            assert control.state is CallState.RESPONDED
    assert control.state is CallState.ENDED
    assert control.closed_at is not None
    assert time.monotonic() - control.closed_at < 1


async def test_a_call_that_was_never_begun_was_not_called(stage: Stage) -> None:
    control = CallControl()
    async with stage.provider.stream(stage.request("answers"), control):
        pass
    assert (control.state, control.called, control.closed_at) == (CallState.NOT_SENT, False, None)


@pytest.mark.parametrize("scene", ["answers slowly", "never begins", "falls silent"])
@pytest.mark.parametrize("delay_s", [0.0, 0.001, 0.02, 0.05])
async def test_a_cancelled_call_is_closed_at_once_and_leaves_nothing(stage: Stage, scene: str, delay_s: float) -> None:
    before = asyncio.all_tasks()
    control = CallControl()
    with anyio.move_on_after(delay_s) as scope:
        await collected(stage.provider, stage.request(scene), control)
    assert scope.cancelled_caught
    if control.called:
        assert control.closed_at is not None
        assert time.monotonic() - control.closed_at < 0.2
    with anyio.fail_after(1):
        if stage.upstream is not None and stage.upstream.exchanges:
            await stage.closed()
        while asyncio.all_tasks() - before:  # noqa: ASYNC110  tasks have no event to wait for
            await anyio.sleep(0.001)


async def test_leaving_early_without_cancellation_closes_as_well(stage: Stage) -> None:
    control = CallControl()
    async with stage.provider.stream(stage.request("falls silent"), control) as batches:
        async for batch in batches:
            if isinstance(batch[-1], TextDelta):
                break
    assert control.state is CallState.ENDED
    with anyio.fail_after(1):
        await stage.closed()


async def test_no_event_follows_the_word_to_stop(stage: Stage) -> None:
    control = CallControl()
    with anyio.fail_after(1):
        async with stage.provider.stream(stage.request("falls silent"), control) as batches:
            async for _ in batches:
                assert not control.cancelled
                control.cancelled = True


async def test_one_provider_serves_many_calls_at_once(stage: Stage) -> None:
    request = stage.request("answers slowly")
    answers: list[list[ProviderEvent]] = []

    async def call() -> None:
        answers.append(await collected(stage.provider, request))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(call)
    assert len({said(answer) for answer in answers}) == 1
    assert not any(isinstance(answer[-1], Failed) for answer in answers)
