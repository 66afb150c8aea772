"""The two stores under one suite, each with a back door to the rows that only turns write."""

from datetime import datetime
from typing import Protocol

import asyncpg
import msgspec
from anyio import Lock
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.ids import ChatId, RequestId, TurnId
from domain.messages.models import Message
from domain.messages.ports import MessageTx
from domain.scope import AccessScope
from domain.unit_of_work import UnitOfWork
from infra.postgres.transaction import TransactionLimits
from infra.postgres.unit_of_work import PostgresUnitOfWork
from tests.fakes.store import MemoryStore
from tests.fakes.tables import MessageRecord, TurnRecord


class Store(Protocol):
    @property
    def begin(self) -> UnitOfWork[MessageTx]: ...

    async def put_message(
        self, scope: AccessScope, chat_id: ChatId, message: Message, *, deleted_at: datetime | None = None
    ) -> None: ...

    async def put_turn(
        self, scope: AccessScope, chat_id: ChatId, turn_id: TurnId, *, state: str = "running", reason: str | None = None
    ) -> None: ...

    async def cancel_reason(self, scope: AccessScope, turn_id: TurnId) -> str | None: ...

    async def set_activity(self, scope: AccessScope, chat_id: ChatId, moment: datetime) -> None: ...


class InMemory:
    def __init__(self, store: MemoryStore) -> None:
        self.begin: UnitOfWork[MessageTx] = store
        self._store = store

    async def put_message(
        self, scope: AccessScope, chat_id: ChatId, message: Message, *, deleted_at: datetime | None = None
    ) -> None:
        record = MessageRecord(chat_id=chat_id, turn_id=TurnId(message.id), message=message, deleted_at=deleted_at)
        self._store.committed[scope.tenant_id].messages[message.id] = record

    async def put_turn(
        self, scope: AccessScope, chat_id: ChatId, turn_id: TurnId, *, state: str = "running", reason: str | None = None
    ) -> None:
        self._store.committed[scope.tenant_id].turns[turn_id] = TurnRecord(
            id=turn_id,
            chat_id=chat_id,
            user_id=scope.user_id,
            request_id=RequestId(turn_id),
            state=state,
            cancel_reason=reason,
        )

    async def cancel_reason(self, scope: AccessScope, turn_id: TurnId) -> str | None:
        return self._store.committed[scope.tenant_id].turns[turn_id].cancel_reason

    async def set_activity(self, scope: AccessScope, chat_id: ChatId, moment: datetime) -> None:
        chats = self._store.committed[scope.tenant_id].chats
        record = chats[chat_id]
        chats[chat_id] = replace(record, chat=replace(record.chat, updated_at=moment))


class InPostgres:
    """`back_door` is a superuser's connection, where row-level security does not hold and no trigger fires."""

    def __init__(self, engine: AsyncEngine, back_door: asyncpg.Connection) -> None:
        self.begin: UnitOfWork[MessageTx] = PostgresUnitOfWork(engine, TransactionLimits())
        self._back_door = back_door
        self._one_at_a_time = Lock()

    async def put_message(
        self, scope: AccessScope, chat_id: ChatId, message: Message, *, deleted_at: datetime | None = None
    ) -> None:
        await self._insert(
            "messages",
            tenant_id=scope.tenant_id,
            id=message.id,
            chat_id=chat_id,
            turn_id=message.id,
            request_id=message.request_id,
            seq=message.seq,
            role=message.role.value,
            content=message.content,
            is_partial=message.is_partial,
            model=message.model,
            finish_reason=message.finish_reason and message.finish_reason.value,
            citations=msgspec.json.encode(message.citations).decode(),
            metadata=msgspec.json.encode(message.metadata).decode() if message.metadata is not None else None,
            input_tokens=message.input_tokens,
            output_tokens=message.output_tokens,
            created_at=message.created_at,
            deleted_at=deleted_at,
        )

    async def put_turn(
        self, scope: AccessScope, chat_id: ChatId, turn_id: TurnId, *, state: str = "running", reason: str | None = None
    ) -> None:
        running = state == "running"
        ended_at = None if running else datetime.now().astimezone()
        await self._insert(
            "chat_turns",
            tenant_id=scope.tenant_id,
            id=turn_id,
            chat_id=chat_id,
            user_id=scope.user_id,
            request_id=turn_id,
            kind="send",
            body_fingerprint=bytes(32),
            on_disconnect="cancel",
            user_seq=1,
            user_message_id=turn_id,
            planned_message_id=turn_id,
            trace_id="0" * 31 + "1",
            state=state,
            error_code="internal_error" if state == "failed" else None,
            cancel_reason=reason,
            owner_epoch=1,
            lease_until=datetime.now().astimezone() if running else None,
            completed_at=ended_at,
            selected_model="m",
            effective_model="m",
            provider_id="p",
            max_output_tokens=1,
        )

    async def cancel_reason(self, scope: AccessScope, turn_id: TurnId) -> str | None:
        query = "SELECT cancel_reason FROM mini_chat.chat_turns WHERE tenant_id = $1 AND id = $2"
        reason = await self._back_door.fetchval(query, scope.tenant_id, turn_id)
        return None if reason is None else str(reason)

    async def set_activity(self, scope: AccessScope, chat_id: ChatId, moment: datetime) -> None:
        query = "UPDATE mini_chat.chats SET updated_at = $3 WHERE tenant_id = $1 AND id = $2"
        await self._back_door.execute(query, scope.tenant_id, chat_id, moment)

    async def _insert(self, table: str, **values: object) -> None:
        places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
        query = f"INSERT INTO mini_chat.{table} ({', '.join(values)}) VALUES ({places})"  # noqa: S608 - our own names
        async with self._one_at_a_time:
            await self._back_door.execute(query, *values.values())
