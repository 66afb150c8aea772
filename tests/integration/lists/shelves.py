"""The lists of one user, filled by hand and read through the repositories."""

import random
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID, uuid4

import asyncpg
from typing_extensions import override

from domain.chats.listing import CHAT_LIST
from domain.chats.models import Chat
from domain.filters import Field, ListShape, Value
from domain.ids import ChatId, MessageId, RequestId
from domain.messages.listing import MESSAGE_LIST
from domain.messages.models import Message, Role
from domain.pagination import Page, PageQuery
from domain.unit_of_work import Access
from infra.postgres.engine import PoolLimits, create_pools
from infra.postgres.transaction import TransactionLimits
from infra.postgres.unit_of_work import PostgresUnitOfWork
from tests.contract.store.samples import somebody
from tests.fakes.paging import MemoryList
from tests.harness.postgres import Database
from tests.harness.rows import connected
from tests.integration.lists.random_queries import a_moment, a_text

I = TypeVar("I", Chat, Message)  # noqa: E741 - an item

_LIMITS = PoolLimits(size=2, reserved_size=1, acquire=timedelta(seconds=5), statement=timedelta(seconds=5))


def _value_of(item: Chat | Message, field: Field) -> Value:
    value: Value = getattr(item, field.name)
    return value


class Shelf(ABC, Generic[I]):
    """One list of one user: its items are known here, and lie in the database among those of others."""

    shape: ClassVar[ListShape]
    table: ClassVar[str]

    def __init__(self, begin: PostgresUnitOfWork, back_door: asyncpg.Connection, chance: random.Random) -> None:
        self.items: dict[UUID, I] = {}
        self.scope = somebody()
        self.begin = begin
        self._back_door = back_door
        self.chance = chance
        self.by_definition: MemoryList[I] = MemoryList(shape=self.shape, value_of=_value_of)

    @abstractmethod
    async def page(self, query: PageQuery) -> Page[I]: ...

    @abstractmethod
    def an_item(self) -> tuple[I, dict[str, Any]]:
        """And its row."""

    @abstractmethod
    def _strangers(self, row: dict[str, Any]) -> Sequence[dict[str, Any]]:
        """The row, were it not of this list."""

    async def open(self) -> None:
        """What the items of the list stand on."""

    async def put(self, amount: int) -> None:
        for _ in range(amount):
            item, row = self.an_item()
            self.items[item.id] = item
            await self.insert(self.table, row)

    async def put_strangers(self) -> None:
        _, row = self.an_item()
        for stranger in self._strangers(row):
            await self.insert(self.table, stranger)

    async def delete(self, amount: int) -> None:
        gone = self.chance.sample(sorted(self.items), k=min(amount, len(self.items)))
        query = f"UPDATE mini_chat.{self.table} SET deleted_at = now() WHERE id = ANY($1)"  # noqa: S608 - our own names
        await self._back_door.execute(query, gone)
        for item_id in gone:
            del self.items[item_id]

    async def insert(self, table: str, row: dict[str, Any]) -> None:
        await self._back_door.copy_records_to_table(
            table, schema_name="mini_chat", columns=list(row), records=[tuple(row.values())]
        )


class ChatShelf(Shelf[Chat]):
    shape = CHAT_LIST
    table = "chats"

    @override
    async def page(self, query: PageQuery) -> Page[Chat]:
        async with self.begin(self.scope, Access.LIST) as tx:
            return await tx.chats.page(query)

    @override
    def an_item(self) -> tuple[Chat, dict[str, Any]]:
        chat = Chat(
            id=ChatId(uuid4()),
            user_id=self.scope.user_id,
            model=self.chance.choice(("m", "M", a_text(self.chance))),
            title=None if self.chance.random() < 0.3 else a_text(self.chance),
            is_temporary=self.chance.random() < 0.2,
            is_favorite=self.chance.random() < 0.3,
            metadata={},
            message_count=0,
            created_at=a_moment(self.chance),
            updated_at=a_moment(self.chance),
        )
        return chat, {"tenant_id": self.scope.tenant_id, "user_id": self.scope.user_id} | {
            field.name: getattr(chat, field.name) for field in self.shape.fields
        }

    @override
    def _strangers(self, row: dict[str, Any]) -> Sequence[dict[str, Any]]:
        changes = ({"user_id": uuid4()}, {"tenant_id": uuid4()}, {"deleted_at": row["created_at"]})
        return [row | {"id": uuid4()} | change for change in changes]


class MessageShelf(Shelf[Message]):
    shape = MESSAGE_LIST
    table = "messages"

    @override
    async def open(self) -> None:
        self.chat_id, self.other_chat_id = ChatId(uuid4()), ChatId(uuid4())
        self.numbers = iter(self.chance.sample(range(1, 10_000), k=9_999))
        owner = {"tenant_id": self.scope.tenant_id, "user_id": self.scope.user_id}
        for chat_id in (self.chat_id, self.other_chat_id):
            await self.insert("chats", owner | {"id": chat_id, "model": "m", "is_temporary": False})

    @override
    async def page(self, query: PageQuery) -> Page[Message]:
        async with self.begin(self.scope, Access.LIST) as tx:
            return await tx.messages.page(self.chat_id, query)

    @override
    def an_item(self) -> tuple[Message, dict[str, Any]]:
        message = Message(
            id=MessageId(uuid4()),
            request_id=RequestId(uuid4()),
            role=self.chance.choice((Role.USER, Role.ASSISTANT)),
            content="hello",
            seq=next(self.numbers),
            is_partial=False,
            created_at=a_moment(self.chance),
            model=None if self.chance.random() < 0.4 else a_text(self.chance),
        )
        row = {field.name: getattr(message, field.name) for field in self.shape.fields}
        return message, row | {
            "tenant_id": self.scope.tenant_id,
            "chat_id": self.chat_id,
            "turn_id": uuid4(),
            "request_id": message.request_id,
            "content": message.content,
            "is_partial": False,
        }

    @override
    def _strangers(self, row: dict[str, Any]) -> Sequence[dict[str, Any]]:
        gone = {"deleted_at": row["created_at"], "seq": next(self.numbers)}
        changes = ({"chat_id": self.other_chat_id}, {"tenant_id": uuid4()}, gone)
        return [row | {"id": uuid4(), "turn_id": uuid4()} | change for change in changes]


@asynccontextmanager
async def shelf(kind: type[Shelf[I]], database: Database, chance: random.Random) -> AsyncIterator[Shelf[I]]:
    pools = create_pools(database.dsn, _LIMITS, application_name="lists")
    try:
        async with connected(database.superuser_dsn) as back_door:
            await back_door.execute("SET session_replication_role = replica")
            made = kind(PostgresUnitOfWork(pools.requests, TransactionLimits()), back_door, chance)
            await made.open()
            yield made
    finally:
        await pools.dispose()
