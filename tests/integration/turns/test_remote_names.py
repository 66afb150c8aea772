"""What a provider is told of us, and what is kept of what it calls its answer."""

from collections.abc import AsyncIterator, Sequence

import pytest

from domain.providers.events import Completed, Finish, ProviderEvent, TextDelta
from domain.providers.request import ProviderRequest
from domain.scope import scope_for
from tests.fakes.providers import FunctionProvider
from tests.harness.engine import PSEUDONYMISER, a_chat, a_user, read_all, running_engine
from tests.harness.postgres import Database
from tests.harness.rows import connected

pytestmark = pytest.mark.postgres


def calling_it(remote_id: str | None) -> FunctionProvider:
    async def play(_: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        yield [TextDelta("Hi"), Completed(finish=Finish.STOP, remote_id=remote_id)]

    return FunctionProvider(play)


@pytest.mark.parametrize(
    ("remote_id", "kept"),
    [("resp_0a1b", "resp_0a1b"), (None, None), ("x" * 257, None), ("a\0b", None), ("\ud800", None)],
)
async def test_the_name_of_an_answer_is_kept_if_a_row_can_hold_it(
    database: Database, remote_id: str | None, kept: str | None
) -> None:
    who = a_user()
    async with running_engine(database.dsn, calling_it(remote_id)) as engine:
        chat_id = await a_chat(engine, who)
        conversation = await engine.send(who, chat_id)
        await read_all(conversation.reader)
    async with connected(database.superuser_dsn) as connection:
        row = await connection.fetchrow("SELECT state, provider_response_id FROM mini_chat.chat_turns")
    assert tuple(row or ()) == ("completed", kept)


async def test_a_provider_hears_pseudonyms_and_no_id_of_ours(database: Database) -> None:
    who, provider = a_user(), calling_it(None)
    async with running_engine(database.dsn, provider) as engine:
        chat_id = await a_chat(engine, who)
        conversation = await engine.send(who, chat_id)
        await read_all(conversation.reader)
    (request,) = provider.requests
    assert request.pseudonyms == PSEUDONYMISER.of(scope_for(who), chat_id)
    assert not any(str(each) in repr(request) for each in (who.tenant_id, who.user_id, chat_id))
