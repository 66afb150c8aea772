"""What the port Chats promises, of the store in memory and of PostgreSQL alike."""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import uuid4

import pytest
from msgspec.structs import replace

from domain.chats.models import Chat, ChatChange, Deletion, NewChat, RunningTurn
from domain.ids import ChatId, OwnerId
from domain.pagination import PageQuery
from domain.scope import AccessScope
from domain.unit_of_work import Access, LostRace
from tests.contract.store.backends import Store
from tests.contract.store.samples import a_chat_id, a_message, a_turn, an_ended_turn, chats, create, get, somebody

WINDOW: Final = timedelta(hours=1)
ODD_TEXT = "Ünï 🧵 \u202e\"'\\ %_ $1 \n\t"


async def test_a_new_chat_is_read_back_as_it_was_answered(store: Store) -> None:
    ann, chat_id = somebody(), a_chat_id()
    wanted = NewChat(model="mock", title=ODD_TEXT, is_temporary=True, metadata={ODD_TEXT: ODD_TEXT})

    async with store.begin(ann) as tx:
        answered = await tx.chats.add(chat_id, wanted)

    assert answered == await get(store, ann, chat_id)
    assert (answered.id, answered.user_id) == (chat_id, ann.user_id)
    assert (answered.model, answered.title, answered.is_temporary) == ("mock", ODD_TEXT, True)
    assert (answered.metadata, answered.message_count, answered.is_favorite) == ({ODD_TEXT: ODD_TEXT}, 0, False)
    assert answered.created_at == answered.updated_at
    assert answered.created_at.utcoffset() == timedelta(0)


async def test_a_chat_without_title_has_none(store: Store) -> None:
    ann = somebody()
    chat = await create(store, ann)
    assert (chat.title, chat.metadata) == (None, {})


async def test_an_id_is_taken_once_per_tenant_whoever_took_it(store: Store) -> None:
    ann = somebody()
    bob, stranger = somebody(in_tenant_of=ann), somebody()
    chat = await create(store, ann, "hers")

    for owner in (ann, bob):
        with pytest.raises(LostRace) as lost:
            async with store.begin(owner) as tx:
                await tx.chats.add(chat.id, NewChat(model="m"))
        assert lost.value.constraint == "chats_pkey"
    async with store.begin(stranger) as tx:
        await tx.chats.add(chat.id, NewChat(model="m", title="another tenant's"))

    assert await get(store, ann, chat.id) == chat


@pytest.mark.parametrize("same_tenant", [True, False])
async def test_nobody_else_can_read_list_rename_or_delete_a_chat(store: Store, same_tenant: bool) -> None:
    ann = somebody()
    other = somebody(in_tenant_of=ann if same_tenant else None)
    chat = await create(store, ann, "hers")
    turn_id = await store.put_turn(ann, a_turn(chat.id))

    assert await get(store, other, chat.id) is None
    assert (await chats(store, other, 10)).items == ()
    async with store.begin(other) as tx:
        assert await tx.chats.change(chat.id, ChatChange(title="mine now")) is None
        assert await tx.chats.soft_delete(chat.id) is None

    assert await get(store, ann, chat.id) == chat
    assert await store.cancel_reason(ann, turn_id) is None


async def test_renaming_counts_as_activity_and_changes_nothing_else(store: Store) -> None:
    ann = somebody()
    chat = await create(store, ann, "before")
    await store.put_message(ann, chat.id, a_message(1))

    async with store.begin(ann) as tx:
        renamed = await tx.chats.change(chat.id, ChatChange(title=ODD_TEXT))

    assert renamed is not None
    assert renamed == await get(store, ann, chat.id)
    assert (renamed.title, renamed.created_at, renamed.message_count) == (ODD_TEXT, chat.created_at, 1)
    assert renamed.updated_at > chat.updated_at


async def test_a_renamed_chat_moves_to_the_top(store: Store) -> None:
    ann = somebody()
    oldest, newest = await create(store, ann), await create(store, ann)
    async with store.begin(ann) as tx:
        await tx.chats.change(oldest.id, ChatChange(title="again"))
    assert [chat.id for chat in (await chats(store, ann, 10)).items] == [oldest.id, newest.id]


async def test_the_message_count_is_of_live_messages_of_this_chat(store: Store) -> None:
    ann = somebody()
    chat, other = await create(store, ann), await create(store, ann)
    for seq in (1, 2):
        await store.put_message(ann, chat.id, a_message(seq))
    await store.put_message(ann, chat.id, a_message(3), deleted_at=datetime.now(UTC))
    await store.put_message(ann, other.id, a_message(1))

    counts = {found.id: found.message_count for found in (await chats(store, ann, 10)).items}

    assert counts == {chat.id: 2, other.id: 1}
    read = await get(store, ann, chat.id)
    assert read is not None
    assert read.message_count == 2


async def test_a_deleted_chat_is_gone_for_its_owner_and_cannot_be_deleted_again(store: Store) -> None:
    ann = somebody()
    kept, chat = await create(store, ann), await create(store, ann)

    async with store.begin(ann) as tx:
        assert await tx.chats.soft_delete(chat.id) == Deletion(running_turn=None)
        assert await tx.chats.soft_delete(chat.id) is None

    assert await get(store, ann, chat.id) is None
    assert [found.id for found in (await chats(store, ann, 10)).items] == [kept.id]
    async with store.begin(ann) as tx:
        assert await tx.chats.change(chat.id, ChatChange(title="back?")) is None
        assert await tx.chats.soft_delete(chat.id) is None


async def test_deletion_flags_the_running_turn_of_this_chat_and_no_other(store: Store) -> None:
    ann = somebody()
    chat, other = await create(store, ann), await create(store, ann)
    ended = await store.put_turn(ann, an_ended_turn(chat.id))
    owner = OwnerId(uuid4())
    running = await store.put_turn(ann, a_turn(chat.id, owner_id=owner, owner_epoch=3), user_seq=3)
    elsewhere = await store.put_turn(ann, a_turn(other.id))

    async with store.begin(ann) as tx:
        deletion = await tx.chats.soft_delete(chat.id)

    assert deletion == Deletion(running_turn=RunningTurn(turn_id=running, owner_id=owner, owner_epoch=3))
    reasons = [await store.cancel_reason(ann, turn_id) for turn_id in (running, ended, elsewhere)]
    assert reasons == ["chat_deleted", None, None]


async def test_deletion_does_not_overwrite_why_a_turn_is_being_cancelled(store: Store) -> None:
    ann = somebody()
    chat = await create(store, ann)
    turn_id = await store.put_turn(ann, a_turn(chat.id), reason="disconnect")

    async with store.begin(ann) as tx:
        assert await tx.chats.soft_delete(chat.id) is not None

    assert await store.cancel_reason(ann, turn_id) == "disconnect"


async def change(store: Store, scope: AccessScope, chat_id: ChatId, change: ChatChange) -> Chat | None:
    async with store.begin(scope) as tx:
        return await tx.chats.change(chat_id, change)


async def delete(store: Store, scope: AccessScope, chat_id: ChatId) -> None:
    async with store.begin(scope) as tx:
        assert await tx.chats.soft_delete(chat_id) is not None


async def restore(store: Store, scope: AccessScope, chat_id: ChatId, window: timedelta = WINDOW) -> Chat | None:
    async with store.begin(scope) as tx:
        return await tx.chats.restore(chat_id, window)


@pytest.mark.parametrize(
    ("wanted", "members"),
    [
        (ChatChange(is_favorite=True), {"is_favorite": True}),
        (ChatChange(metadata={ODD_TEXT: ODD_TEXT}), {"metadata": {ODD_TEXT: ODD_TEXT}}),
        (ChatChange(metadata={}), {"metadata": {}}),
        (ChatChange(is_favorite=True, metadata={"a": "b"}), {"is_favorite": True, "metadata": {"a": "b"}}),
    ],
)
async def test_a_change_without_a_title_is_no_activity(
    store: Store, wanted: ChatChange, members: dict[str, object]
) -> None:
    ann = somebody()
    chat = await create(store, ann, "kept")
    changed = await change(store, ann, chat.id, wanted)
    assert changed == replace(chat, **members) == await get(store, ann, chat.id)


async def test_a_favourite_can_be_one_no_longer(store: Store) -> None:
    ann = somebody()
    chat = await create(store, ann)
    for is_favorite in (True, False):
        changed = await change(store, ann, chat.id, ChatChange(is_favorite=is_favorite))
        assert changed is not None
        assert changed.is_favorite is is_favorite


async def test_only_a_live_chat_of_ones_own_is_locked(store: Store) -> None:
    ann = somebody()
    chat, gone = await create(store, ann), await create(store, ann)
    await delete(store, ann, gone.id)
    async with store.begin(ann) as tx:
        assert await tx.chats.lock(chat.id) == chat
        assert await tx.chats.lock(gone.id) is None
    async with store.begin(somebody(in_tenant_of=ann)) as tx:
        assert await tx.chats.lock(chat.id) is None


async def test_a_restored_chat_is_as_it_was(store: Store) -> None:
    ann = somebody()
    chat = await create(store, ann, "again")
    await store.put_message(ann, chat.id, a_message(1))
    await store.put_message(ann, chat.id, a_message(2), deleted_at=datetime.now(UTC))
    before = await get(store, ann, chat.id)
    await delete(store, ann, chat.id)
    assert await restore(store, ann, chat.id) == before == await get(store, ann, chat.id)
    assert [found.id for found in (await chats(store, ann, 10)).items] == [chat.id]


async def test_there_is_nothing_to_restore_of_a_live_chat(store: Store) -> None:
    ann = somebody()
    chat = await create(store, ann)
    assert await restore(store, ann, chat.id) is None
    assert await get(store, ann, chat.id) == chat


async def test_a_temporary_chat_stays_deleted(store: Store) -> None:
    ann, chat_id = somebody(), a_chat_id()
    async with store.begin(ann) as tx:
        await tx.chats.add(chat_id, NewChat(model="m", is_temporary=True))
    await delete(store, ann, chat_id)
    assert await restore(store, ann, chat_id) is None


@pytest.mark.parametrize("window", [timedelta(0), timedelta(microseconds=1)])
async def test_after_its_window_a_chat_stays_deleted(store: Store, window: timedelta) -> None:
    ann = somebody()
    chat = await create(store, ann)
    await delete(store, ann, chat.id)
    assert await restore(store, ann, chat.id, window) is None
    assert await get(store, ann, chat.id) is None


@pytest.mark.parametrize("same_tenant", [True, False])
async def test_nobody_else_can_change_or_restore_a_chat(store: Store, same_tenant: bool) -> None:
    ann = somebody()
    other = somebody(in_tenant_of=ann if same_tenant else None)
    live, gone = await create(store, ann), await create(store, ann)
    await delete(store, ann, gone.id)
    for chat in (live, gone):
        assert await restore(store, other, chat.id) is None
        assert await change(store, other, chat.id, ChatChange(is_favorite=True)) is None
    assert await get(store, ann, gone.id) is None
    assert await get(store, ann, live.id) == live


async def restorable(store: Store, scope: AccessScope, window: timedelta = WINDOW) -> list[Chat]:
    async with store.begin(scope, Access.READ) as tx:
        return list((await tx.chats.restorable_page(PageQuery(limit=10), window)).items)


async def test_restorable_chats_are_listed_as_they_were_with_the_time_of_their_deletion(store: Store) -> None:
    ann = somebody()
    older, live, newer = await create(store, ann), await create(store, ann), await create(store, ann)
    before = datetime.now(UTC) - timedelta(minutes=1)
    for chat in (newer, older):
        await delete(store, ann, chat.id)
    found = await restorable(store, ann)
    assert [replace(chat, deleted_at=None) for chat in found] == [newer, older]
    assert all(chat.deleted_at is not None and chat.deleted_at > before for chat in found)
    await restore(store, ann, older.id)
    assert [chat.id for chat in await restorable(store, ann)] == [newer.id]
    assert {chat.id for chat in (await chats(store, ann, 10)).items} == {older.id, live.id}


async def test_temporary_chats_closed_windows_and_other_people_have_nothing_to_restore(store: Store) -> None:
    ann, temporary = somebody(), a_chat_id()
    async with store.begin(ann) as tx:
        await tx.chats.add(temporary, NewChat(model="m", is_temporary=True))
    chat = await create(store, ann)
    for chat_id in (temporary, chat.id):
        await delete(store, ann, chat_id)
    assert [found.id for found in await restorable(store, ann)] == [chat.id]
    for window in (timedelta(0), timedelta(microseconds=1)):
        assert await restorable(store, ann, window) == []
    for other in (somebody(), somebody(in_tenant_of=ann)):
        assert await restorable(store, other) == []


async def test_restorable_chats_come_in_pages(store: Store) -> None:
    ann = somebody()
    made = [(await create(store, ann)).id for _ in range(5)]
    for chat_id in made:
        await delete(store, ann, chat_id)
    found: list[ChatId] = []
    query: PageQuery | None = PageQuery(limit=2)
    while query is not None:
        async with store.begin(ann, Access.READ) as tx:
            page = await tx.chats.restorable_page(query, WINDOW)
        found += [chat.id for chat in page.items]
        query = None if page.next is None else PageQuery(limit=2, position=page.next)
    assert found == made[::-1]


async def test_a_preview_is_the_beginning_of_the_newest_live_message(store: Store) -> None:
    ann = somebody()
    silent, short, long = await create(store, ann), await create(store, ann), await create(store, ann)
    await store.put_message(ann, short.id, a_message(10, "newest"))
    await store.put_message(ann, short.id, a_message(9, "older"))
    await store.put_message(ann, short.id, a_message(11, "gone"), deleted_at=datetime.now(UTC))
    await store.put_message(ann, long.id, a_message(1, "🧵é" * 100))
    async with store.begin(ann, Access.READ) as tx:
        page = await tx.chats.page(PageQuery(limit=10), preview=True)
        plain = await tx.chats.page(PageQuery(limit=10))
    assert {chat.id: chat.last_message_preview for chat in page.items} == {
        long.id: "🧵é" * 80,
        short.id: "newest",
        silent.id: None,
    }
    assert {chat.last_message_preview for chat in plain.items} == {None}


async def test_a_deleted_chat_has_its_preview_too(store: Store) -> None:
    ann = somebody()
    chat = await create(store, ann)
    await store.put_message(ann, chat.id, a_message(1, "still there"))
    await delete(store, ann, chat.id)
    async with store.begin(ann, Access.READ) as tx:
        page = await tx.chats.restorable_page(PageQuery(limit=10), WINDOW, preview=True)
    assert [found.last_message_preview for found in page.items] == ["still there"]
