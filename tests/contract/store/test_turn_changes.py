"""What the port Changes promises, of the store in memory and of PostgreSQL alike."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from msgspec.structs import replace

from domain.ids import ChatId, MessageId, RequestId, TurnId
from domain.messages.models import Role
from domain.scope import AccessScope
from domain.turns.models import LATEST, TurnName, TurnState, TurnStatus
from domain.turns.mutations import Aim, Target
from domain.unit_of_work import Access, ReadOnly
from tests.contract.store.backends import Store
from tests.contract.store.samples import (
    a_chat_id,
    a_message,
    a_turn,
    an_ended_turn,
    create,
    get,
    messages,
    somebody,
    status,
)

GONE_AT = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


async def put(
    store: Store, ann: AccessScope, turn: TurnStatus, seq: int, content: str = "hello", *, web_search: bool = False
) -> None:
    """The turn with what was asked and answered in it."""
    asked = replace(a_message(seq, content), id=MessageId(turn.id), metadata={"seq": str(seq)})
    answered = replace(a_message(seq + 1, "world"), role=Role.ASSISTANT)
    await store.put_turn(ann, turn, user_seq=seq, web_search=web_search)
    await store.put_message(ann, turn.chat_id, asked, deleted_at=turn.deleted_at)
    await store.put_message(ann, turn.chat_id, answered, turn_id=turn.id, deleted_at=turn.deleted_at)


async def aim(store: Store, scope: AccessScope, chat_id: ChatId, name: TurnName) -> Aim | None:
    async with store.begin(scope, Access.READ) as tx:
        return await tx.changes.aim(chat_id, name)


async def target(store: Store, scope: AccessScope, chat_id: ChatId, name: TurnName) -> Target:
    found = await aim(store, scope, chat_id, name)
    assert found is not None
    assert found.target is not None
    return found.target


async def remove(store: Store, scope: AccessScope, chat_id: ChatId, revision: int, turn_id: TurnId) -> bool:
    async with store.begin(scope) as tx:
        return await tx.changes.remove(chat_id, revision, turn_id)


async def test_a_turn_is_aimed_at_with_what_was_asked_in_it(store: Store) -> None:
    ann = somebody()
    turn = an_ended_turn((await create(store, ann)).id)
    await put(store, ann, turn, 5, "Grüße 🧵", web_search=True)
    expected = Target(
        revision=0,
        turn_id=turn.id,
        request_id=turn.request_id,
        state=TurnState.FAILED,
        is_newest=True,
        content="Grüße 🧵",
        metadata={"seq": "5"},
        web_search=True,
    )
    assert await target(store, ann, turn.chat_id, turn.request_id) == expected
    assert await target(store, ann, turn.chat_id, LATEST) == expected


async def test_only_the_last_of_those_that_are_left_is_the_newest(store: Store) -> None:
    ann = somebody()
    chat = await create(store, ann)
    older, newest = an_ended_turn(chat.id), a_turn(chat.id)
    deleted = an_ended_turn(chat.id, updated_at=GONE_AT, deleted_at=GONE_AT)
    for seq, turn in ((9, older), (11, newest), (13, deleted)):
        await put(store, ann, turn, seq)
    found = [await target(store, ann, chat.id, turn.request_id) for turn in (older, newest, deleted)]
    assert [each.is_newest for each in found] == [False, True, False]
    assert (await target(store, ann, chat.id, LATEST)).turn_id == newest.id


async def test_what_is_not_there_cannot_be_aimed_at(store: Store) -> None:
    ann = somebody()
    chat, other = await create(store, ann), await create(store, ann)
    await put(store, ann, an_ended_turn(other.id), 1)
    await put(store, ann, an_ended_turn(chat.id, updated_at=GONE_AT, deleted_at=GONE_AT), 1)
    assert await aim(store, ann, chat.id, RequestId(uuid4())) == Aim(target=None)
    assert await aim(store, ann, chat.id, LATEST) == Aim(target=None)
    assert await aim(store, ann, a_chat_id(), LATEST) is None


async def test_a_removed_turn_takes_its_messages_with_it_and_nothing_else(store: Store) -> None:
    ann = somebody()
    chat = await create(store, ann)
    kept, gone = an_ended_turn(chat.id), an_ended_turn(chat.id)
    await put(store, ann, kept, 1, "kept")
    await put(store, ann, gone, 3, "gone")
    assert await remove(store, ann, chat.id, 0, gone.id)
    assert [said.content for said in (await messages(store, ann, chat.id, 10)).items] == ["kept", "world"]
    found = await status(store, ann, chat.id, gone.request_id)
    assert (found.deleted_at, found.replaced_by) == (found.updated_at, None)
    assert (await status(store, ann, chat.id, LATEST)).id == kept.id
    after = await get(store, ann, chat.id)
    assert after is not None
    assert (after.message_count, after.updated_at) == (2, found.deleted_at)
    assert (await target(store, ann, chat.id, LATEST)).revision == 1


async def test_a_chat_that_moved_on_keeps_its_turn(store: Store) -> None:
    ann = somebody()
    turn = an_ended_turn((await create(store, ann)).id)
    await put(store, ann, turn, 1)
    assert not await remove(store, ann, turn.chat_id, 1, turn.id)
    assert await status(store, ann, turn.chat_id, LATEST) == turn
    assert len((await messages(store, ann, turn.chat_id, 10)).items) == 2


async def test_a_turn_that_runs_and_one_that_is_gone_are_not_removed(store: Store) -> None:
    ann = somebody()
    running = a_turn((await create(store, ann)).id)
    deleted = an_ended_turn((await create(store, ann)).id, updated_at=GONE_AT, deleted_at=GONE_AT)
    for turn in (running, deleted):
        await put(store, ann, turn, 1)
        assert not await remove(store, ann, turn.chat_id, 0, turn.id)
        assert await status(store, ann, turn.chat_id, turn.request_id) == turn
        assert (await target(store, ann, turn.chat_id, turn.request_id)).revision == 0


@pytest.mark.parametrize("same_tenant", [True, False])
async def test_nobody_else_changes_a_turn_even_by_naming_its_chat(store: Store, same_tenant: bool) -> None:
    ann = somebody()
    other = somebody(in_tenant_of=ann if same_tenant else None)
    turn = an_ended_turn((await create(store, ann)).id)
    await put(store, ann, turn, 1)
    assert await aim(store, other, turn.chat_id, LATEST) is None
    assert not await remove(store, other, turn.chat_id, 0, turn.id)
    theirs = await create(store, other)
    assert not await remove(store, other, theirs.id, 0, turn.id)
    assert await status(store, ann, turn.chat_id, LATEST) == turn


async def test_a_read_removes_nothing(store: Store) -> None:
    ann = somebody()
    turn = an_ended_turn((await create(store, ann)).id)
    await put(store, ann, turn, 1)
    with pytest.raises(ReadOnly):
        async with store.begin(ann, Access.READ) as tx:
            await tx.changes.remove(turn.chat_id, 0, turn.id)
