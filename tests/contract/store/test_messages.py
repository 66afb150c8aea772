"""What the port Messages promises, of the store in memory and of PostgreSQL alike."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from domain.ids import MessageId, RequestId
from domain.messages.models import Message, Role
from domain.providers.events import Citation, Finish, Span
from tests.contract.store.backends import Store
from tests.contract.store.samples import a_message, create, messages, somebody

FULL = Message(
    id=MessageId(uuid4()),
    request_id=RequestId(uuid4()),
    role=Role.ASSISTANT,
    content="Grüße 🧵\n",
    seq=2,
    is_partial=True,
    created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    model="mock",
    finish_reason=Finish.LENGTH,
    citations=(
        Citation(
            source="web", title="A 🧵", url="https://example.org", snippet="…", score=0.5, span=Span(start=0, end=3)
        ),
        Citation(source="file", title="B", attachment_id="7", snippet=""),
    ),
    metadata={"k": "v"},
    input_tokens=2**40,
    output_tokens=0,
)


async def test_a_message_is_read_as_it_was_written(store: Store) -> None:
    ann = somebody()
    chat, plain = await create(store, ann), a_message(1)
    await store.put_message(ann, chat.id, FULL)
    await store.put_message(ann, chat.id, plain)
    assert (await messages(store, ann, chat.id, 10)).items == (plain, FULL)


async def test_messages_come_in_the_order_of_seq_whatever_the_clock_said(store: Store) -> None:
    ann = somebody()
    chat = await create(store, ann)
    for seq in (10, 9, 100, 1):
        await store.put_message(ann, chat.id, a_message(seq))
    assert [said.seq for said in (await messages(store, ann, chat.id, 10)).items] == [1, 9, 10, 100]


async def test_deleted_messages_and_those_of_other_chats_are_not_seen(store: Store) -> None:
    ann = somebody()
    chat, other = await create(store, ann), await create(store, ann)
    await store.put_message(ann, chat.id, a_message(1), deleted_at=datetime.now(UTC))
    await store.put_message(ann, other.id, a_message(1))
    assert (await messages(store, ann, chat.id, 10)).items == ()


@pytest.mark.parametrize("same_tenant", [True, False])
async def test_nobody_else_sees_a_message_even_by_naming_its_chat(store: Store, same_tenant: bool) -> None:
    ann = somebody()
    other = somebody(in_tenant_of=ann if same_tenant else None)
    chat = await create(store, ann)
    await store.put_message(ann, chat.id, a_message(1))
    assert (await messages(store, other, chat.id, 10)).items == ()


async def test_the_messages_go_with_their_chat(store: Store) -> None:
    ann = somebody()
    chat = await create(store, ann)
    await store.put_message(ann, chat.id, a_message(1))
    async with store.begin(ann) as tx:
        await tx.chats.soft_delete(chat.id)
    assert (await messages(store, ann, chat.id, 10)).items == ()
