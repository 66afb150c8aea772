"""What the port Statuses promises, of the store in memory and of PostgreSQL alike."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from domain.errors import ChatNotFound, TurnNotFound
from domain.ids import MessageId, OwnerId, RequestId
from domain.providers.events import Finish
from domain.turns.models import LATEST, TurnState
from tests.contract.store.backends import Store
from tests.contract.store.samples import a_chat_id, a_turn, an_ended_turn, create, somebody, status

BEGUN = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
DONE_AT = BEGUN + timedelta(seconds=2)
GONE_AT = BEGUN + timedelta(hours=1)


async def test_a_turn_is_told_as_it_was_written(store: Store) -> None:
    ann = somebody()
    chat = await create(store, ann)
    answer = MessageId(uuid4())
    turn = a_turn(
        chat.id,
        state=TurnState.COMPLETED,
        finish=Finish.LENGTH,
        planned_message_id=answer,
        assistant_message_id=answer,
        owner_id=OwnerId(uuid4()),
        owner_epoch=3,
        last_number=7,
        created_at=BEGUN,
        updated_at=DONE_AT,
    )
    await store.put_turn(ann, turn)
    assert await status(store, ann, chat.id, turn.request_id) == turn


async def test_a_turn_that_runs_has_not_changed_since_it_began(store: Store) -> None:
    ann = somebody()
    chat = await create(store, ann)
    turn = a_turn(chat.id, created_at=BEGUN)
    await store.put_turn(ann, turn)
    found = await status(store, ann, chat.id, turn.request_id)
    assert (found.state, found.updated_at, found.finish, found.last_number) == (TurnState.RUNNING, BEGUN, None, None)


async def test_a_replaced_turn_is_found_by_its_key_and_names_its_successor(store: Store) -> None:
    ann = somebody()
    chat = await create(store, ann)
    replaced = an_ended_turn(chat.id, updated_at=GONE_AT, deleted_at=GONE_AT, replaced_by=RequestId(uuid4()))
    await store.put_turn(ann, replaced)
    assert await status(store, ann, chat.id, replaced.request_id) == replaced


async def test_the_latest_turn_is_the_newest_by_seq_that_is_not_deleted(store: Store) -> None:
    ann = somebody()
    chat = await create(store, ann)
    older = an_ended_turn(chat.id, created_at=GONE_AT)
    latest = an_ended_turn(chat.id, created_at=BEGUN)
    deleted = an_ended_turn(chat.id, updated_at=GONE_AT, deleted_at=GONE_AT)
    for seq, turn in ((9, older), (11, latest), (13, deleted)):
        await store.put_turn(ann, turn, user_seq=seq)
    assert (await status(store, ann, chat.id, LATEST)).id == latest.id


async def test_a_chat_without_such_a_turn_says_so(store: Store) -> None:
    ann = somebody()
    chat, other = await create(store, ann), await create(store, ann)
    elsewhere, gone = a_turn(other.id), an_ended_turn(chat.id, updated_at=GONE_AT, deleted_at=GONE_AT)
    await store.put_turn(ann, elsewhere)
    await store.put_turn(ann, gone)
    for name in (elsewhere.request_id, RequestId(uuid4()), LATEST):
        with pytest.raises(TurnNotFound):
            await status(store, ann, chat.id, name)


@pytest.mark.parametrize("same_tenant", [True, False])
async def test_nobody_else_finds_a_turn_even_by_naming_its_chat(store: Store, same_tenant: bool) -> None:
    ann = somebody()
    other = somebody(in_tenant_of=ann if same_tenant else None)
    turn = a_turn((await create(store, ann)).id)
    await store.put_turn(ann, turn)
    for name in (turn.request_id, LATEST):
        with pytest.raises(ChatNotFound):
            await status(store, other, turn.chat_id, name)


async def test_the_turns_go_with_their_chat(store: Store) -> None:
    ann = somebody()
    turn = an_ended_turn((await create(store, ann)).id)
    await store.put_turn(ann, turn)
    async with store.begin(ann) as tx:
        await tx.chats.soft_delete(turn.chat_id)
    for chat_id in (turn.chat_id, a_chat_id()):
        with pytest.raises(ChatNotFound):
            await status(store, ann, chat_id, turn.request_id)
