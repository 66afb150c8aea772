"""What a unit of work promises, of the store in memory and of PostgreSQL alike."""

from collections.abc import Awaitable, Callable

import anyio
import pytest

from domain.chats.models import ChatChange, NewChat
from domain.errors import ChatNotFound
from domain.ids import ChatId
from domain.messages.ports import MessageTx
from domain.scope import AccessScope
from domain.unit_of_work import Access, ReadOnly
from tests.contract.store.backends import Store
from tests.contract.store.samples import a_chat_id, a_message, create, get, messages, somebody


async def test_leaving_by_an_exception_undoes_everything_and_passes_it_on(store: Store) -> None:
    ann, fresh = somebody(), a_chat_id()
    chat = await create(store, ann, "before")

    async def work(tx: MessageTx) -> None:
        await tx.chats.add(fresh, NewChat(model="m"))
        await tx.chats.change(chat.id, ChatChange(title="after"))
        raise ChatNotFound

    with pytest.raises(ChatNotFound):
        async with store.begin(ann) as tx:
            await work(tx)

    assert await get(store, ann, fresh) is None
    assert await get(store, ann, chat.id) == chat


async def test_a_transaction_sees_its_own_writes_and_others_only_after_the_commit(store: Store) -> None:
    ann, fresh = somebody(), a_chat_id()
    async with store.begin(ann) as tx:
        await tx.chats.add(fresh, NewChat(model="m"))
        assert await tx.chats.get(fresh) is not None
        assert await get(store, ann, fresh) is None
    assert await get(store, ann, fresh) is not None


async def test_a_read_is_one_snapshot(store: Store) -> None:
    ann = somebody()
    chat = await create(store, ann, "before")
    async with store.begin(ann, Access.READ) as tx:
        assert await tx.chats.get(chat.id) == chat
        async with store.begin(ann) as meanwhile:
            await meanwhile.chats.change(chat.id, ChatChange(title="after"))
        assert await tx.chats.get(chat.id) == chat
    changed = await get(store, ann, chat.id)
    assert changed is not None
    assert changed.title == "after"


async def _add(tx: MessageTx, chat_id: ChatId) -> None:
    await tx.chats.add(chat_id, NewChat(model="m"))


async def _rename(tx: MessageTx, chat_id: ChatId) -> None:
    await tx.chats.change(chat_id, ChatChange(title="after"))


async def _delete(tx: MessageTx, chat_id: ChatId) -> None:
    await tx.chats.soft_delete(chat_id)


@pytest.mark.parametrize("write", [_add, _rename, _delete])
async def test_a_read_cannot_write(store: Store, write: Callable[[MessageTx, ChatId], Awaitable[None]]) -> None:
    ann = somebody()
    chat = await create(store, ann)
    with pytest.raises(ReadOnly):
        async with store.begin(ann, Access.READ) as tx:
            await write(tx, chat.id)
    assert await get(store, ann, chat.id) == chat


async def test_writers_of_one_row_follow_each_other(store: Store) -> None:
    ann = somebody()
    chat = await create(store, ann)

    async def rename(title: str) -> None:
        async with store.begin(ann) as tx:
            assert await tx.chats.change(chat.id, ChatChange(title=title)) is not None

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(rename, str(number))

    last = await get(store, ann, chat.id)
    assert last is not None
    assert last.title in {str(number) for number in range(8)}


async def test_two_tenants_at_the_same_time_never_see_each_other(store: Store) -> None:
    people = [somebody() for _ in range(6)]

    async def live(scope: AccessScope) -> None:
        mine = str(scope.user_id)
        for _ in range(10):
            chat = await create(store, scope, mine)
            await store.put_message(scope, chat.id, a_message(1, mine))
            found = await get(store, scope, chat.id)
            assert found is not None
            assert found.title == mine
            assert [said.content for said in (await messages(store, scope, chat.id, 5)).items] == [mine]

    with anyio.fail_after(15):
        async with anyio.create_task_group() as tasks:
            for scope in people:
                tasks.start_soon(live, scope)
