"""A title because its user asks for one (api.md 3.3): the model's, or the first line, and never an error of a model."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import anyio
import msgspec
import pytest

from domain.auth.policy import Policy
from domain.chats.service import ChatDraft, ChatPatch
from domain.clock import SystemClock
from domain.errors import (
    ChatEmpty,
    ChatNotFound,
    DomainError,
    FeatureNotLicensed,
    Forbidden,
    GenerationDisabled,
    RateLimited,
)
from domain.ids import ChatId
from domain.limits.rates import Quotas, Rates
from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.events import Failed, ProviderEvent
from domain.providers.request import ProviderRequest
from domain.subject import Subject
from domain.switches.models import Switch, SwitchScope
from domain.switches.ports import Standing
from domain.telemetry.ports import SilentTelemetry
from domain.titles.models import GeneratedTitle, TitleSource
from domain.titles.service import CALL_DEADLINE, TitleService
from infra.local.rate_limiter import LocalRateLimiter
from tests.fakes.limits import unlimited
from tests.fakes.providers import FunctionProvider, saying
from tests.harness.engine import Engine, a_chat, a_user, running_engine
from tests.harness.postgres import Database
from tests.harness.system_calls import PLENTY_MICRO, Desk, system_desk
from tests.integration.quotas.accounts import audited, bucket, rows
from tests.integration.titles.chats import answered, title_of
from tests.unit.domain.switches.samples import a_switch

pytestmark = pytest.mark.postgres

BY_MODEL = GeneratedTitle(title="Tides", source=TitleSource.MODEL)
BY_MESSAGE = GeneratedTitle(title="When is high tide?", source=TitleSource.FALLBACK)
NO_SWITCHES: Sequence[Switch] = ()


class Office(msgspec.Struct, kw_only=True):
    engine: Engine
    titles: TitleService
    provider: FunctionProvider
    who: Subject
    chat_id: ChatId

    async def generate(self, *, dry_run: bool = False) -> GeneratedTitle:
        return await self.titles.generate(self.who, self.chat_id, dry_run=dry_run)


class Reader:
    def __init__(self, switches: Sequence[Switch]) -> None:
        self._switches = switches

    async def standing(self, _: int | None) -> Standing:
        return Standing(revision=99, switches=self._switches, age_s=0)


async def switched(desk: Desk, switches: Sequence[Switch]) -> None:
    desk.board._reader = Reader(switches)
    await desk.board.refresh()


@asynccontextmanager
async def an_office(
    database: Database,
    *,
    provider: FunctionProvider | None = None,
    switches: Sequence[Switch] = NO_SWITCHES,
    rates: Rates | None = None,
    daily_limit_micro: int = PLENTY_MICRO,
    deadline: timedelta = CALL_DEADLINE,
) -> AsyncIterator[Office]:
    """Where a user has one chat with one answer, and titles are made."""
    who, model = a_user(), provider or FunctionProvider(saying("Tides"))
    async with (
        running_engine(database.dsn, FunctionProvider(saying("At noon."))) as engine,
        system_desk(database.dsn, model, daily_limit_micro=daily_limit_micro) as desk,
    ):
        chat_id = await a_chat(engine, who)
        await answered(engine, who, chat_id)
        await switched(desk, switches)
        titles = TitleService(
            desk.begin, Policy(), desk.calls, desk.board, rates or unlimited(), SystemClock(), deadline
        )
        yield Office(engine=engine, titles=titles, provider=model, who=who, chat_id=chat_id)
    await audited(database)


async def test_a_models_title_takes_the_place_of_any_other(database: Database) -> None:
    async with an_office(database) as office:
        await office.engine.chats.change(office.who, office.chat_id, ChatPatch(title="Mine"))
        before = (await office.engine.chats.get(office.who, office.chat_id)).updated_at
        assert await office.generate() == BY_MODEL
        after = await office.engine.chats.get(office.who, office.chat_id)
        assert (after.title, after.updated_at > before) == ("Tides", True)
    assert await title_of(database, office.chat_id) == ("Tides", "model")
    told = await rows(database, "SELECT event_type FROM mini_chat.audit_events ORDER BY id DESC LIMIT 1")
    assert [row["event_type"] for row in told] == ["chat_renamed"]
    assert (await bucket(database, "system"))["spent_micro"] == 11 + 1


async def test_a_dry_run_changes_nothing_but_the_books(database: Database) -> None:
    async with an_office(database) as office:
        assert await office.generate(dry_run=True) == BY_MODEL
    assert await title_of(database, office.chat_id) == ("When is high tide?", "first_line")
    assert (await bucket(database, "system"))["spent_micro"] == 11 + 1


async def broken(_: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
    yield [Failed(failure=ProviderFailure(kind=FailureKind.SERVER_ERROR))]


FALLBACKS: Mapping[str, dict[str, object]] = {
    "a provider that fails": {"provider": FunctionProvider(broken)},
    "a model that says nothing": {"provider": FunctionProvider(saying('""'))},
    "no credits": {"daily_limit_micro": 0},
    "titles switched off": {"switches": [a_switch(SwitchScope.FEATURE, "titles")]},
    "the model switched off": {"switches": [a_switch(SwitchScope.MODEL, "test-model")]},
    "its provider switched off": {"switches": [a_switch(SwitchScope.PROVIDER, "test")]},
}


@pytest.mark.parametrize("office", FALLBACKS.values(), ids=FALLBACKS)
async def test_without_a_model_the_first_line_it_is(database: Database, office: dict[str, object]) -> None:
    async with an_office(database, **office) as opened:  # type: ignore[arg-type]
        await opened.engine.chats.change(opened.who, opened.chat_id, ChatPatch(title="Mine"))
        assert await opened.generate(dry_run=True) == BY_MESSAGE
        assert await title_of(database, opened.chat_id) == ("Mine", "user")
        assert await opened.generate() == BY_MESSAGE
    assert await title_of(database, opened.chat_id) == ("When is high tide?", "first_line")


async def test_a_model_that_takes_too_long_is_not_waited_for(database: Database) -> None:
    silent = FunctionProvider(saying("never", gate=anyio.sleep_forever))
    async with an_office(database, provider=silent, deadline=timedelta(milliseconds=50)) as office:
        with anyio.fail_after(5):
            assert await office.generate() == BY_MESSAGE
        assert silent.closed == 1


@pytest.mark.parametrize("name", ["global", "tenant"])
async def test_whoever_switched_answers_off_switched_titles_off(database: Database, name: str) -> None:
    async with an_office(database) as office, system_desk(database.dsn, office.provider) as desk:
        target = None if name == "global" else str(office.who.tenant_id)
        await switched(desk, [a_switch(SwitchScope(name), target)])
        titles = TitleService(desk.begin, Policy(), desk.calls, desk.board, unlimited(), SystemClock())
        with pytest.raises(GenerationDisabled):
            await titles.generate(office.who, office.chat_id, dry_run=False)
        assert office.provider.requests == []


async def test_a_chat_without_a_message_has_nothing_to_be_named_after(database: Database) -> None:
    async with an_office(database) as office:
        empty = (await office.engine.chats.create(office.who, ChatDraft())).id
        with pytest.raises(ChatEmpty):
            await office.titles.generate(office.who, empty, dry_run=False)


async def test_a_chat_of_somebody_else_is_not_there(database: Database) -> None:
    async with an_office(database) as office:
        for stranger in (a_user(), a_user(tenant_id=office.who.tenant_id)):
            with pytest.raises(ChatNotFound):
                await office.titles.generate(stranger, office.chat_id, dry_run=False)
        await office.engine.chats.delete(office.who, office.chat_id)
        with pytest.raises(ChatNotFound):
            await office.generate()
        assert office.provider.requests == []


async def test_a_chat_that_goes_during_the_call_is_not_there_and_the_call_is_paid(database: Database) -> None:
    async def delete() -> None:
        await office.engine.chats.delete(office.who, office.chat_id)

    async with an_office(database, provider=FunctionProvider(saying("Tides", gate=delete))) as office:
        with pytest.raises(ChatNotFound):
            await office.generate()
    assert (await bucket(database, "system"))["spent_micro"] == 11 + 1


UNENTITLED: list[tuple[dict[str, frozenset[str]], type[DomainError]]] = [
    ({"roles": frozenset({"viewer"})}, Forbidden),
    ({"features": frozenset()}, FeatureNotLicensed),
]


@pytest.mark.parametrize(("members", "refusal"), UNENTITLED)
async def test_who_may_not_send_may_not_have_titles_made(
    database: Database, members: dict[str, frozenset[str]], refusal: type[DomainError]
) -> None:
    async with an_office(database) as office:
        who = msgspec.structs.replace(office.who, **members)
        with pytest.raises(refusal):
            await office.titles.generate(who, office.chat_id, dry_run=True)


async def test_titles_count_as_sends(database: Database) -> None:
    clock = SystemClock()
    rates = Rates(LocalRateLimiter(clock.monotonic), Quotas(sends=2), SilentTelemetry())
    async with an_office(database, rates=rates) as office:
        for _ in range(2):
            await office.generate(dry_run=True)
        with pytest.raises(RateLimited):
            await office.generate(dry_run=True)
        assert len(office.provider.requests) == 2
