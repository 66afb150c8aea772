"""Calls of tools: what is held of the day's before a turn begins, what ends it, and what is booked (engine.md 4.8)."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from itertools import chain, cycle, repeat
from typing import Final

import anyio
import pytest
from msgspec.structs import replace

from domain.catalogue.models import ToolSupport
from domain.clock import SystemClock
from domain.context.tool_texts import FILE_SEARCH_GUARD, WEB_SEARCH_GUARD
from domain.errors import QuotaExceeded
from domain.ids import ChatId
from domain.providers.capabilities import Capabilities
from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.events import (
    Completed,
    Failed,
    Finish,
    ProviderEvent,
    TextDelta,
    ToolDone,
    ToolName,
    ToolStart,
    Usage,
    UsageReport,
)
from domain.providers.request import CodeInterpreter, FileSearch, ProviderRequest, WebSearch
from domain.quotas.hold_audit import HoldAuditor
from domain.quotas.models import QuotaRules
from domain.streaming.events import Done, StreamEvent, Tool, TurnError
from domain.streaming.ports import OnDisconnect
from domain.telemetry.ports import Counted, SilentTelemetry
from domain.tools.calls import ToolLimits
from domain.tools.offered import ChatFiles
from infra.postgres.audit.credit_checks import CREDIT_CHECKS
from infra.postgres.held_buckets import PostgresHeldBuckets
from infra.postgres.transaction import TransactionLimits
from infra.postgres.unit_of_work import PostgresUnitOfWork
from tests.fakes.providers import FunctionProvider, Play, saying
from tests.fakes.telemetry import CountingTelemetry
from tests.harness.engine import MODEL, Engine, a_chat, a_user, read_all, running_engine
from tests.harness.eventually import until
from tests.harness.postgres import Database
from tests.harness.rows import connected, insert
from tests.integration.quotas.accounts import HELLO_TOKENS, audited, bucket, rows
from tests.integration.turns.books import answers_of, expire_leases, only_turn

pytestmark = pytest.mark.postgres

WHO: Final = a_user()
ABLE: Final = replace(
    MODEL, tool_support=ToolSupport(web_search=True, file_search=True, code_interpreter=True), max_tool_calls=7
)
CARRIES_ALL: Final = Capabilities(web_search=True, file_search=True, code_interpreter=True)
FILES: Final = ChatFiles(store_id="store", spreadsheets=("sheet",))
SENDS: Final = 20
WEB, FILE, CODE = ToolName.WEB_SEARCH, ToolName.FILE_SEARCH, ToolName.CODE_INTERPRETER
UNREACHABLE: Final = Failed(failure=ProviderFailure(kind=FailureKind.UNREACHABLE, detail="nobody listens"))
COMPLETED: Final = Completed(finish=Finish.STOP, usage=Usage(input_tokens=11, output_tokens=2))


def calling(*tools: ToolName) -> Play:
    """Says a word, calls the tools one after the other, and ends."""

    async def play(request: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        yield [TextDelta("Let me see. "), UsageReport(Usage(input_tokens=20, output_tokens=3))]
        for number, tool in enumerate(tools):
            yield [ToolStart(str(number), tool)]
            yield [ToolDone(str(number), tool)]
        yield [COMPLETED]

    return play


def stuck() -> FunctionProvider:
    """In the middle of a search."""

    async def play(request: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        yield [ToolStart("1", WEB)]
        await anyio.sleep_forever()

    return FunctionProvider(play, CARRIES_ALL)


def able(*plays: Play) -> FunctionProvider:
    """Plays one after the other, the last of them for ever."""
    left = chain(plays, repeat(plays[-1]))

    def play(request: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        return next(left)(request)

    return FunctionProvider(play, CARRIES_ALL)


def limited(**limits: int) -> QuotaRules:
    return QuotaRules(tools=ToolLimits(**limits))


async def told(engine: Engine, *, web_search: bool = False) -> list[StreamEvent]:
    chat_id = await a_chat(engine, WHO)
    conversation = await engine.send(WHO, chat_id, web_search=web_search)
    return [event for _, event in await read_all(conversation.reader)]


async def calls(database: Database) -> dict[str, int]:
    """What the day's counter of the user has of each tool."""
    counted = await bucket(database)
    names = ("web_search_held", "web_search_calls", "code_interpreter_held", "code_interpreter_calls")
    return {name: counted[name] for name in (*names, "file_search_calls") if counted[name]}


async def test_a_search_that_is_asked_for_is_held_and_what_was_called_is_booked(database: Database) -> None:
    gate = anyio.Event()

    async def play(request: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        await gate.wait()
        yield [ToolStart("1", WEB), ToolDone("1", WEB), TextDelta("Rain."), COMPLETED]

    async with running_engine(database.dsn, able(play), models=(ABLE,)) as engine:
        chat_id = await a_chat(engine, WHO)
        conversation = await engine.send(WHO, chat_id, web_search=True)
        assert await calls(database) == {"web_search_held": 2}
        assert await rows(database, CREDIT_CHECKS["bucket_that_differs_from_its_turns"]) == []
        gate.set()
        await read_all(conversation.reader)
    turn = await only_turn(database, chat_id)
    assert (turn["web_search_held"], turn["web_search_calls"], turn["code_interpreter_calls"]) == (2, 1, 0)
    assert await calls(database) == {"web_search_calls": 1}
    for month in await rows(database, "SELECT * FROM mini_chat.quota_buckets WHERE period_type = 'monthly'"):
        assert (month["web_search_held"], month["web_search_calls"]) == (0, 0)
    (event,) = await rows(database, "SELECT body ->> 'tool_calls' AS tool_calls FROM mini_chat.usage_events")
    assert event["tool_calls"] == '{"web_search": 1, "file_search": 0, "code_interpreter": 0}'
    await audited(database)


async def test_everything_that_a_tool_adds_follows_from_the_one_list(database: Database) -> None:
    provider = able(saying("Rain."))
    async with running_engine(database.dsn, provider, models=(ABLE,), files=FILES) as engine:
        await told(engine, web_search=True)
        await told(engine)
    searching, plain = provider.requests
    search = WebSearch(context_size="low", max_uses=2)
    files = FileSearch(store_id="store", max_num_results=20)
    assert (searching.tools, searching.max_tool_calls) == ((files, search, CodeInterpreter(file_ids=("sheet",))), 7)
    assert searching.instructions == f"{WEB_SEARCH_GUARD}\n\n{FILE_SEARCH_GUARD}"
    assert (plain.tools, plain.instructions) == (
        (files, CodeInterpreter(file_ids=("sheet",))),
        FILE_SEARCH_GUARD,
    )
    held = await rows(database, "SELECT est_input_tokens AS tokens FROM mini_chat.chat_turns ORDER BY started_at")
    assert held[0]["tokens"] - held[1]["tokens"] >= 500


@pytest.mark.parametrize("lacking", ["model", "provider", "wish"])
async def test_a_search_that_is_not_attached_costs_nothing_and_is_not_mentioned(
    database: Database, lacking: str
) -> None:
    model = MODEL if lacking == "model" else ABLE
    provider = FunctionProvider(saying("Rain."), Capabilities() if lacking == "provider" else CARRIES_ALL)
    async with running_engine(database.dsn, provider, models=(model,)) as engine:
        *_, last = await told(engine, web_search=lacking != "wish")
    assert isinstance(last, Done)
    assert (provider.requests[0].tools, provider.requests[0].instructions) == ((), None)
    (turn,) = await rows(database, "SELECT est_input_tokens, web_search_held FROM mini_chat.chat_turns")
    assert tuple(turn) == (HELLO_TOKENS, 0)
    await audited(database)


async def test_many_searches_at_once_hold_what_the_day_has_left_and_no_more(database: Database) -> None:
    """Two for one message, one for another, and 18 messages are refused, whichever of two engines they reach."""
    outcomes: Counter[str] = Counter()
    provider = able(saying("never", gate=anyio.sleep_forever))
    rules = limited(web_search_daily=3)
    async with (
        running_engine(database.dsn, provider, models=(ABLE,), rules=rules) as engine,
        running_engine(database.dsn, provider, models=(ABLE,), rules=rules) as other,
    ):
        chats = [await a_chat(engine, WHO) for _ in range(SENDS)]

        async def attempt(chat_id: ChatId, process: Engine) -> None:
            try:
                await process.send(WHO, chat_id, web_search=True)
            except QuotaExceeded as refused:
                outcomes[str(refused.members["quota_scope"])] += 1
            else:
                outcomes["admitted"] += 1

        async with anyio.create_task_group() as senders:
            for chat_id, process in zip(chats, cycle((engine, other)), strict=False):
                senders.start_soon(attempt, chat_id, process)
        assert outcomes == {"admitted": 2, "web_search": SENDS - 2}
        assert await calls(database) == {"web_search_held": 3}
        holds = await rows(database, "SELECT web_search_held FROM mini_chat.chat_turns ORDER BY 1")
        assert [row[0] for row in holds] == [1, 2]
        await audited(database)
    assert await calls(database) == {}
    await audited(database)


async def test_many_runs_at_once_hold_what_the_day_has_left_and_the_others_do_without(database: Database) -> None:
    provider = able(saying("never", gate=anyio.sleep_forever))
    rules = limited(code_interpreter_daily=3, code_interpreter_per_message=2)
    async with running_engine(database.dsn, provider, models=(ABLE,), files=FILES, rules=rules) as engine:
        chats = [await a_chat(engine, WHO) for _ in range(SENDS)]
        async with anyio.create_task_group() as senders:
            for chat_id in chats:
                senders.start_soon(engine.send, WHO, chat_id)
        holds = await rows(database, "SELECT code_interpreter_held FROM mini_chat.chat_turns ORDER BY 1 DESC")
        assert [row[0] for row in holds] == [2, 1] + [0] * (SENDS - 2)
        assert await calls(database) == {"code_interpreter_held": 3}
    await audited(database)


async def test_a_day_without_searches_refuses_only_who_would_search(database: Database) -> None:
    unable = replace(MODEL, id="unable", provider_model_id="unable", is_default=False)
    telemetry, provider = CountingTelemetry(), able(calling(WEB), saying("Rain."))
    async with running_engine(
        database.dsn,
        provider,
        models=(ABLE, unable),
        rules=limited(web_search_daily=1),
        telemetry=telemetry,
    ) as engine:
        await told(engine, web_search=True)
        with pytest.raises(QuotaExceeded) as refused:
            await told(engine, web_search=True)
        assert refused.value.members == {"quota_scope": "web_search"}
        assert refused.value.detail == "The web searches of today are used up."
        assert refused.value.retry_after is not None
        assert isinstance((await told(engine))[-1], Done)
        await rows(database, "UPDATE mini_chat.chats SET model = 'unable'")
        (chat_id,) = (row["id"] for row in await rows(database, "SELECT id FROM mini_chat.chats LIMIT 1"))
        await read_all((await engine.send(WHO, chat_id, web_search=True)).reader)
    assert telemetry.of(Counted.TOOL_CALL_LIMITED) == {("web_search",): 1}
    await audited(database)


async def test_code_that_may_not_run_again_today_is_left_out_in_silence(database: Database) -> None:
    telemetry, provider = CountingTelemetry(), able(calling(CODE), saying("I cannot."))
    async with running_engine(
        database.dsn,
        provider,
        models=(ABLE,),
        files=FILES,
        rules=limited(code_interpreter_daily=1),
        telemetry=telemetry,
    ) as engine:
        await told(engine)
        assert await calls(database) == {"code_interpreter_calls": 1}
        assert isinstance((await told(engine))[-1], Done)
    offered = [[type(tool) for tool in request.tools] for request in provider.requests]
    assert offered == [[FileSearch, CodeInterpreter], [FileSearch]]
    assert telemetry.of(Counted.TOOL_CALL_LIMITED) == {("code_interpreter",): 1}
    await audited(database)


@pytest.mark.parametrize(
    ("tool", "allowed", "code"),
    [(WEB, 2, "web_search_calls_exceeded"), (CODE, 10, "code_interpreter_calls_exceeded")],
)
async def test_one_call_too_many_ends_the_turn_and_keeps_what_was_said(
    database: Database, tool: ToolName, allowed: int, code: str
) -> None:
    telemetry = CountingTelemetry()
    provider = able(calling(*[tool] * (allowed + 1)))
    async with running_engine(database.dsn, provider, models=(ABLE,), files=FILES, telemetry=telemetry) as engine:
        events = await told(engine, web_search=True)
    *_, last = events
    assert isinstance(last, TurnError)
    assert (last.code, last.retryable) == (code, False)
    assert Counter(event.phase for event in events if isinstance(event, Tool)) == {"start": allowed, "done": allowed}
    assert provider.closed == 1
    (turn,) = await rows(database, "SELECT * FROM mini_chat.chat_turns")
    assert (turn["state"], turn["error_code"], turn["retryable"]) == ("failed", code, False)
    assert (turn["settlement"], turn["settled_micro"]) == ("actual", 20 + 3)
    (answer,) = await answers_of(database, turn["chat_id"])
    assert (answer.content, answer.is_partial) == ("Let me see. ", True)
    assert await calls(database) == {f"{tool}_calls": allowed}
    assert telemetry.of(Counted.TOOL_CALL_LIMITED) == {(tool,): 1}
    assert telemetry.of(Counted.TOOL_CALLS) == {("start", tool): allowed, ("done", tool): allowed}
    await audited(database)


@pytest.mark.parametrize("searches", [2, 3])
async def test_a_model_that_answers_instead_has_the_tools_that_were_held_for_it(
    database: Database, searches: int
) -> None:
    busy = replace(MODEL, id="busy", fallback_model=ABLE.id, is_default=True)
    spare = replace(ABLE, is_default=False)
    search = calling(*[WEB] * searches)

    async def play(request: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        if request.catalog_model == busy.id:
            yield [UNREACHABLE]
            return
        async for batch in search(request):
            yield batch

    async with running_engine(database.dsn, able(play), models=(busy, spare)) as engine:
        *_, last = await told(engine, web_search=True)
    assert isinstance(last, Done if searches == 2 else TurnError)
    (turn,) = await rows(database, "SELECT * FROM mini_chat.chat_turns")
    assert (turn["effective_model"], turn["web_search_held"], turn["web_search_calls"]) == (ABLE.id, 2, 2)
    assert await calls(database) == {"web_search_calls": 2}
    await audited(database)


async def test_a_tool_that_was_not_offered_may_not_be_called_once(database: Database) -> None:
    async with running_engine(database.dsn, able(calling(WEB)), models=(ABLE,)) as engine:
        *_, last = await told(engine)
    assert isinstance(last, TurnError)
    assert last.code == "web_search_calls_exceeded"
    assert await calls(database) == {}
    await audited(database)


async def test_what_a_server_searches_on_its_own_account_is_shown_and_not_booked(database: Database) -> None:
    provider = FunctionProvider(calling(*[WEB] * 3))
    async with running_engine(database.dsn, provider, models=(ABLE,)) as engine:
        events = await told(engine, web_search=True)
    assert len([event for event in events if isinstance(event, Tool)]) == 6
    assert isinstance(events[-1], Done)
    assert await calls(database) == {}
    await audited(database)


async def test_one_search_of_files_too_many_is_the_end_of_the_answer(database: Database) -> None:
    async with running_engine(database.dsn, able(calling(*[FILE] * 3)), models=(ABLE,), files=FILES) as engine:
        *_, last = await told(engine)
    assert isinstance(last, Done)
    assert last.finish_reason == Finish.TOOL_LIMIT
    assert await calls(database) == {"file_search_calls": 2}
    await audited(database)


async def test_the_heir_of_a_lost_turn_gives_back_what_it_held(database: Database) -> None:
    async with running_engine(database.dsn, stuck(), models=(ABLE,)) as engine:
        chat_id = await a_chat(engine, WHO)
        conversation = await engine.send(WHO, chat_id, web_search=True, on_disconnect=OnDisconnect.CONTINUE)
        await conversation.reader.receive()
        await until(lambda: any(actor.transcript.tools.starts for actor in engine.supervisor.running_turns()))
        await expire_leases(database)
        await engine.reaper.sweep()
        turn = await only_turn(database, chat_id)
        assert (turn["error_code"], turn["web_search_held"], turn["web_search_calls"]) == ("orphan_timeout", 2, 0)
        assert await calls(database) == {}
    await audited(database)


@pytest.mark.parametrize("tool", [CODE, FILE])
async def test_a_tool_that_is_switched_off_is_not_offered(database: Database, tool: ToolName) -> None:
    provider = able(saying("I cannot."))
    async with running_engine(database.dsn, provider, models=(ABLE,), files=FILES) as engine:
        await told(engine)
        await switched_off(database, tool)
        await engine.board.refresh()
        await told(engine)
    before, after = ([type(each) for each in request.tools] for request in provider.requests)
    assert before == [FileSearch, CodeInterpreter]
    assert after == [each for each in before if each is not {FILE: FileSearch, CODE: CodeInterpreter}[tool]]
    assert await calls(database) == {}


async def test_a_switch_in_mode_abort_ends_the_turns_that_have_the_tool_and_no_others(database: Database) -> None:
    provider = able(saying("never", gate=anyio.sleep_forever))
    unable = replace(MODEL, id="unable", is_default=False)
    async with running_engine(database.dsn, provider, models=(ABLE, unable)) as engine:
        for searches in (True, False):
            await engine.send(WHO, await a_chat(engine, WHO), web_search=searches)
        without_tool = await a_chat(engine, WHO)
        await rows(database, "UPDATE mini_chat.chats SET model = 'unable' WHERE id = $1", without_tool)
        await engine.send(WHO, without_tool, web_search=True)
        await switched_off(database, WEB)
        await engine.board.refresh()
        ended = engine.enforcement.look()
        (searching,) = await rows(database, "SELECT id FROM mini_chat.chat_turns WHERE web_search_held > 0")
        assert ended == [searching["id"]]


async def switched_off(database: Database, tool: ToolName) -> None:
    async with connected(database.superuser_dsn) as connection:
        await insert(
            connection,
            "kill_switches",
            id=WHO.user_id,
            scope="tool",
            target=tool.value,
            version=1,
            mode="abort",
            reason="a test",
            created_by=WHO.user_id,
        )


@pytest.mark.parametrize("column", ["web_search_held", "code_interpreter_held"])
async def test_calls_that_nobody_holds_any_more_are_given_back(database: Database, column: str) -> None:
    async with running_engine(database.dsn, able(calling(WEB)), models=(ABLE,)) as engine:
        await told(engine, web_search=True)
        await rows(database, f"UPDATE mini_chat.quota_buckets SET {column} = 3")  # noqa: S608 - our own names
        await audit_holds(engine)
    assert await calls(database) == {"web_search_calls": 1}
    assert await rows(database, "SELECT id FROM mini_chat.ledger_entries WHERE kind = 'adjust'") == []
    await audited(database)


async def test_an_audit_leaves_alone_what_running_turns_hold(database: Database) -> None:
    async with running_engine(database.dsn, stuck(), models=(ABLE,)) as engine:
        await engine.send(WHO, await a_chat(engine, WHO), web_search=True)
        await audit_holds(engine)
        assert await calls(database) == {"web_search_held": 2}


async def audit_holds(engine: Engine) -> None:
    limits = TransactionLimits()
    held = PostgresHeldBuckets(engine.pools.reserved, limits)
    begin = PostgresUnitOfWork(engine.pools.requests, limits)
    await HoldAuditor(held, begin, SystemClock(), SilentTelemetry()).sweep()
