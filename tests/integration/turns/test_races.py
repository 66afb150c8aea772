"""Things that happen to one chat at the same time: one of them wins, and everybody is told the same."""

from collections.abc import AsyncIterator

import anyio
import pytest
from anyio.lowlevel import checkpoint

from domain.chats.service import ChatDraft
from domain.errors import ChatNotFound, DomainError, GenerationInProgress
from domain.pagination import PageQuery
from domain.streaming.events import Delta, Done, StreamEvent, TurnError
from domain.streaming.models import StopReason
from domain.telemetry.trace_context import new_trace
from domain.turns.models import PUBLIC_STATES, SendCommand, TurnState
from tests.fakes.providers import FunctionProvider, saying
from tests.harness.engine import Engine, a_chat, a_key, a_user, read_all, running_engine, told_again
from tests.harness.eventually import until
from tests.harness.postgres import Database
from tests.integration.turns.books import Answer, answers_of, only_turn, turns_of
from tests.integration.turns.spoken import Spoken

pytestmark = pytest.mark.postgres

PIECES = ("a", "b", "c")


class Announced(FunctionProvider):
    """Says when it is called."""

    def __init__(self) -> None:
        super().__init__(saying(*PIECES, gate=self._come_to_gate))
        self.called = anyio.Event()

    async def _come_to_gate(self) -> None:
        self.called.set()
        await checkpoint()


@pytest.fixture
def provider() -> Announced:
    return Announced()


@pytest.fixture
async def engine(database: Database, provider: Announced) -> AsyncIterator[Engine]:
    async with running_engine(database.dsn, provider) as engine:
        yield engine


def told(event: StreamEvent) -> tuple[str, str | None]:
    """The state and error code that a terminal event speaks of."""
    if isinstance(event, Done):
        return "done", None
    assert isinstance(event, TurnError)
    return ("cancelled", None) if event.code == "turn_cancelled" else ("error", event.code)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("reason", [StopReason.DISCONNECT, StopReason.DRAIN])
async def test_a_stop_that_races_completion_has_one_winner_and_the_row_says_what_was_told(
    engine: Engine, provider: Announced, database: Database, reason: StopReason
) -> None:
    """The stop comes n turns of the loop after the start or after the call, for every n until it comes too late."""
    who = a_user()
    winners: list[str] = []
    for offset in range(60):
        chat_id, provider.called = await a_chat(engine, who), anyio.Event()
        conversation = await engine.send(who, chat_id)
        (actor,) = engine.supervisor.running_turns()
        if offset % 2:
            await provider.called.wait()
        for _ in range(offset):
            await checkpoint()
        actor.stop(reason)
        with anyio.fail_after(5):
            events = [event for _, event in await read_all(conversation.reader)]
        turn = await only_turn(database, chat_id)
        state, error_code = told(events[-1])
        assert (PUBLIC_STATES[TurnState(turn["state"])], turn["error_code"]) == (state, error_code)
        text = "".join(event.content for event in events if isinstance(event, Delta))
        stored = await answers_of(database, chat_id)
        assert stored == ([Answer(text, is_partial=state != "done")] if text or state == "done" else [])
        winners.append(state)
    assert "done" in winners
    assert winners[0] != "done"


@pytest.mark.timeout(60)
async def test_a_deletion_that_races_a_send_leaves_no_turn_that_runs_or_says_otherwise(
    engine: Engine, database: Database
) -> None:
    who = a_user()
    outcomes: set[str] = set()
    for offset in range(40):
        chat_id = await a_chat(engine, who)
        last: list[StreamEvent] = []

        async def send() -> None:
            try:
                conversation = await engine.send(who, chat_id)  # noqa: B023 - awaited within the round
            except ChatNotFound:
                outcomes.add("refused")
                return
            last.append((await read_all(conversation.reader))[-1][1])  # noqa: B023

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send)
                for _ in range(offset * offset):
                    await checkpoint()
                await engine.chats.delete(who, chat_id)
        turns = await turns_of(database, chat_id)
        assert len(turns) == len(last)
        for turn, event in zip(turns, last, strict=True):
            state, error_code = told(event)
            assert (PUBLIC_STATES[TurnState(turn["state"])], turn["error_code"]) == (state, error_code)
            outcomes.add(state)
    assert "refused" in outcomes
    assert outcomes & {"done", "cancelled"}


async def test_a_replay_is_answered_while_another_turn_runs(database: Database) -> None:
    spoken, who, key = Spoken(), a_user(), a_key()
    async with running_engine(database.dsn, spoken) as engine:
        chat_id = await a_chat(engine, who)
        first = await engine.send(who, chat_id, request_id=key)
        await spoken.say("first", first)
        spoken.finish()
        with anyio.fail_after(5):
            done = (await read_all(first.reader))[-1]
            running = await engine.send(who, chat_id, "And another?")
            again = await engine.send(who, chat_id, request_id=key)
            replay = await read_all(again.reader)
            with pytest.raises(GenerationInProgress) as refusal:
                await engine.send(who, chat_id, "A third?")
        await until(lambda: len(spoken.requests) == 2)
        assert replay[1:] == [(2, Delta("text", "first")), told_again(done)]
        assert not again.is_new_turn
        assert refusal.value.members == {"running_request_id": str(running.request_id)}


async def test_a_chat_is_free_again_once_the_terminal_event_has_been_told(engine: Engine) -> None:
    who = a_user()
    chat_id = await a_chat(engine, who)
    for _ in range(5):
        with anyio.fail_after(5):
            assert isinstance((await read_all((await engine.send(who, chat_id)).reader))[-1][1], Done)


async def test_chats_of_one_user_run_side_by_side(database: Database) -> None:
    who = a_user()
    async with running_engine(database.dsn, FunctionProvider(saying("never", gate=anyio.sleep_forever))) as engine:
        for _ in range(3):
            await engine.send(who, await a_chat(engine, who))
        assert len(engine.supervisor.running_turns()) == 3


async def test_fifty_identical_creating_sends_make_one_chat(database: Database) -> None:
    provider, who = FunctionProvider(saying("never", gate=anyio.sleep_forever)), a_user()
    command = SendCommand(target=ChatDraft(), content="Hello", request_id=a_key())
    refused: list[str] = []
    async with running_engine(database.dsn, provider) as engine:

        async def attempt() -> None:
            try:
                await engine.turns.send(who, command, new_trace())
            except DomainError as refusal:
                refused.append(refusal.code)

        with anyio.fail_after(15):
            async with anyio.create_task_group() as tasks:
                for _ in range(50):
                    tasks.start_soon(attempt)
        assert refused == ["request_id_conflict"] * 49
        assert len(provider.requests) == 1
        assert len((await engine.chats.list(who, PageQuery(limit=50))).items) == 1
