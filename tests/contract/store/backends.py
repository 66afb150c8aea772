"""The two stores under one suite, each with a back door to the rows that only turns write."""

from datetime import datetime
from typing import Protocol

import asyncpg
import msgspec
from anyio import Lock
from msgspec.structs import replace

from domain.audit.ports import EventTx
from domain.ids import ChatId, TurnId
from domain.messages.models import Message
from domain.messages.ports import MessageTx
from domain.scope import AccessScope
from domain.turns.models import TurnState, TurnStatus
from domain.turns.ports import CancellationTx, ChangeTx
from domain.unit_of_work import UnitOfWork
from infra.postgres.connection_pool import ConnectionPool
from infra.postgres.transaction import TransactionLimits
from infra.postgres.unit_of_work import PostgresUnitOfWork
from tests.fakes.store import MemoryStore
from tests.fakes.tables import MessageRecord, TurnRecord


class StoreTx(MessageTx, ChangeTx, CancellationTx, EventTx, Protocol):
    """All repositories that both stores have."""


class Store(Protocol):
    @property
    def begin(self) -> UnitOfWork[StoreTx]: ...

    async def put_message(
        self,
        scope: AccessScope,
        chat_id: ChatId,
        message: Message,
        *,
        turn_id: TurnId | None = None,
        deleted_at: datetime | None = None,
    ) -> None: ...

    async def put_turn(
        self,
        scope: AccessScope,
        turn: TurnStatus,
        *,
        user_seq: int = 1,
        reason: str | None = None,
        web_search: bool = False,
    ) -> TurnId:
        """Its user message has the same id, if there is one."""
        ...

    async def cancel_reason(self, scope: AccessScope, turn_id: TurnId) -> str | None: ...

    async def set_activity(self, scope: AccessScope, chat_id: ChatId, moment: datetime) -> None: ...


class InMemory:
    def __init__(self, store: MemoryStore) -> None:
        self.begin: UnitOfWork[StoreTx] = store
        self._store = store

    async def put_message(
        self,
        scope: AccessScope,
        chat_id: ChatId,
        message: Message,
        *,
        turn_id: TurnId | None = None,
        deleted_at: datetime | None = None,
    ) -> None:
        turn_id = turn_id or TurnId(message.id)
        record = MessageRecord(chat_id=chat_id, turn_id=turn_id, message=message, deleted_at=deleted_at)
        self._store.committed[scope.tenant_id].messages[message.id] = record

    async def put_turn(
        self,
        scope: AccessScope,
        turn: TurnStatus,
        *,
        user_seq: int = 1,
        reason: str | None = None,
        web_search: bool = False,
    ) -> TurnId:
        self._store.committed[scope.tenant_id].turns[turn.id] = TurnRecord(
            user_id=scope.user_id,
            user_seq=user_seq,
            status=turn,
            web_search=web_search,
            cancel_reason=reason,
        )
        return turn.id

    async def cancel_reason(self, scope: AccessScope, turn_id: TurnId) -> str | None:
        return self._store.committed[scope.tenant_id].turns[turn_id].cancel_reason

    async def set_activity(self, scope: AccessScope, chat_id: ChatId, moment: datetime) -> None:
        chats = self._store.committed[scope.tenant_id].chats
        record = chats[chat_id]
        chats[chat_id] = replace(record, chat=replace(record.chat, updated_at=moment))


class InPostgres:
    """`back_door` is a superuser's connection, where row-level security does not hold and no trigger fires."""

    def __init__(self, engine: ConnectionPool, back_door: asyncpg.Connection) -> None:
        self.begin: UnitOfWork[StoreTx] = PostgresUnitOfWork(engine, TransactionLimits())
        self._back_door = back_door
        self._one_at_a_time = Lock()

    async def put_message(
        self,
        scope: AccessScope,
        chat_id: ChatId,
        message: Message,
        *,
        turn_id: TurnId | None = None,
        deleted_at: datetime | None = None,
    ) -> None:
        await self._insert(
            "messages",
            tenant_id=scope.tenant_id,
            id=message.id,
            chat_id=chat_id,
            turn_id=turn_id or message.id,
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
        await self._count_messages(scope, chat_id)

    async def put_turn(
        self,
        scope: AccessScope,
        turn: TurnStatus,
        *,
        user_seq: int = 1,
        reason: str | None = None,
        web_search: bool = False,
    ) -> TurnId:
        running = turn.state is TurnState.RUNNING
        await self._insert(
            "chat_turns",
            tenant_id=scope.tenant_id,
            id=turn.id,
            chat_id=turn.chat_id,
            user_id=scope.user_id,
            request_id=turn.request_id,
            kind="send",
            body_fingerprint=bytes(32),
            on_disconnect="cancel",
            user_seq=user_seq,
            user_message_id=turn.id,
            planned_message_id=turn.planned_message_id,
            assistant_message_id=turn.assistant_message_id,
            trace_id=turn.trace_id,
            state=turn.state.value,
            finish_reason=turn.finish and turn.finish.value,
            error_code=turn.error_code,
            cancel_reason=reason,
            owner_id=turn.owner_id,
            owner_epoch=turn.owner_epoch,
            lease_until=turn.created_at if running else None,
            started_at=turn.created_at,
            completed_at=None if running else turn.updated_at,
            selected_model="m",
            effective_model=turn.effective_model,
            provider_id="p",
            max_output_tokens=1,
            last_event_id=turn.last_number,
            web_search=web_search,
            deleted_at=turn.deleted_at,
            replaced_by_request_id=turn.replaced_by,
        )
        return turn.id

    async def cancel_reason(self, scope: AccessScope, turn_id: TurnId) -> str | None:
        query = "SELECT cancel_reason FROM mini_chat.chat_turns WHERE tenant_id = $1 AND id = $2"
        reason = await self._back_door.fetchval(query, scope.tenant_id, turn_id)
        return None if reason is None else str(reason)

    async def set_activity(self, scope: AccessScope, chat_id: ChatId, moment: datetime) -> None:
        query = "UPDATE mini_chat.chats SET updated_at = $3 WHERE tenant_id = $1 AND id = $2"
        await self._back_door.execute(query, scope.tenant_id, chat_id, moment)

    async def _count_messages(self, scope: AccessScope, chat_id: ChatId) -> None:
        query = """
            UPDATE mini_chat.chats SET message_count = (
                SELECT count(*) FROM mini_chat.messages
                WHERE tenant_id = $1 AND chat_id = $2 AND deleted_at IS NULL)
            WHERE tenant_id = $1 AND id = $2"""
        async with self._one_at_a_time:
            await self._back_door.execute(query, scope.tenant_id, chat_id)

    async def _insert(self, table: str, **values: object) -> None:
        places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
        query = f"INSERT INTO mini_chat.{table} ({', '.join(values)}) VALUES ({places})"  # noqa: S608 - our own names
        async with self._one_at_a_time:
            await self._back_door.execute(query, *values.values())
