"""The turns of one owner. Each state change is one conditional statement: only if nobody else did."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Interval,
    Row,
    Text,
    and_,
    delete,
    exists,
    extract,
    func,
    insert,
    literal,
    null,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import InstrumentedAttribute, aliased

from domain.ids import ChatId, MessageId, RequestId, TurnId
from domain.messages.models import Role
from domain.providers.events import Finish
from domain.scope import AccessScope
from domain.turns.models import (
    Exchange,
    Fence,
    Gate,
    NewTurn,
    StoredAnswer,
    TurnKind,
    TurnResult,
    TurnState,
    TurnSummary,
)
from infra.postgres.orm.chat import ChatRow
from infra.postgres.orm.message import MessageRow
from infra.postgres.orm.turn import TurnRow
from infra.postgres.orm.turn_part import TurnPartRow
from infra.postgres.repositories.messages import MESSAGE_COLUMNS, message_of
from infra.postgres.scoping import live_chat, of_tenant

_MESSAGES_PER_TURN: Final = 2

_ENDED_COLUMNS: Final = (
    TurnRow.id,
    TurnRow.request_id,
    TurnRow.user_seq,
    TurnRow.planned_message_id,
    TurnRow.effective_model,
)

_Same = aliased(TurnRow, name="same_request")
_Running = aliased(TurnRow, name="running")
_Asked = aliased(MessageRow, name="asked")
_Answered = aliased(MessageRow, name="answered")


class PostgresTurns:
    """Fills the port Turns."""

    def __init__(self, connection: AsyncConnection, scope: AccessScope) -> None:
        self._connection = connection
        self._scope = scope

    async def gate(self, chat_id: ChatId, request_id: RequestId) -> Gate | None:
        statement = (
            select(
                ChatRow.model,
                ChatRow.revision,
                _Same.id,
                _Same.state,
                _Same.body_fingerprint,
                _Running.request_id.label("running_request_id"),
            )
            .outerjoin(_Same, and_(_in_chat(_Same), _Same.request_id == request_id))
            .outerjoin(_Running, and_(_in_chat(_Running), _Running.state == TurnState.RUNNING))
            .where(live_chat(self._scope, chat_id))
        )
        row = (await self._connection.execute(statement)).one_or_none()
        if row is None:
            return None
        return Gate(
            chat_id=chat_id,
            model=row.model,
            revision=row.revision,
            same_request=None if row.id is None else _summary(row, chat_id, request_id),
            running_request_id=row.running_request_id,
        )

    async def created_by(self, request_id: RequestId) -> TurnSummary | None:
        statement = select(TurnRow.id, TurnRow.chat_id, TurnRow.state, TurnRow.body_fingerprint).where(
            self._mine(), TurnRow.request_id == request_id, TurnRow.kind == TurnKind.CREATE_SEND
        )
        row = (await self._connection.execute(statement)).one_or_none()
        return None if row is None else _summary(row, ChatId(row.chat_id), request_id)

    async def history(self, chat_id: ChatId, newest: int, max_bytes: int) -> Sequence[Exchange]:
        size_bytes = func.octet_length(_Asked.content) + func.octet_length(_Answered.content)
        counted = (
            select(
                TurnRow.user_seq,
                _Asked.content.label("asked"),
                _Answered.content.label("answered"),
                func.sum(size_bytes).over(order_by=TurnRow.user_seq.desc()).label("bytes_so_far"),
            )
            .join(_Asked, _message_of_turn(_Asked, TurnRow.user_message_id))
            .join(_Answered, _message_of_turn(_Answered, TurnRow.assistant_message_id))
            .where(
                self._mine(),
                TurnRow.chat_id == chat_id,
                TurnRow.state.in_((TurnState.COMPLETED, TurnState.CANCELLED)),
                _Answered.content != "",
            )
            .order_by(TurnRow.user_seq.desc())
            .limit(newest)
            .subquery()
        )
        statement = (
            select(counted.c.asked, counted.c.answered)
            .where(counted.c.bytes_so_far <= max_bytes)
            .order_by(counted.c.user_seq)
        )
        rows = await self._connection.execute(statement)
        return [Exchange(user_text=row.asked, assistant_text=row.answered) for row in rows]

    async def reserve_seq(self, chat_id: ChatId, revision: int) -> int | None:
        statement = (
            update(ChatRow)
            .where(live_chat(self._scope, chat_id), ChatRow.revision == revision)
            .values(
                last_seq=ChatRow.last_seq + _MESSAGES_PER_TURN,
                revision=ChatRow.revision + 1,
                updated_at=func.now(),
            )
            .returning(ChatRow.last_seq)
        )
        last_seq = (await self._connection.execute(statement)).scalar_one_or_none()
        return None if last_seq is None else last_seq - _MESSAGES_PER_TURN + 1

    async def open(self, turn: NewTurn, user_seq: int, lease: timedelta) -> None:
        said = (
            insert(MessageRow)
            .values(
                tenant_id=self._scope.tenant_id,
                id=turn.user_message_id,
                chat_id=turn.brief.chat_id,
                turn_id=turn.brief.turn_id,
                request_id=turn.brief.request_id,
                seq=user_seq,
                role=Role.USER,
                content=turn.content,
                is_partial=False,
                metadata_=turn.metadata if turn.metadata is not None else null(),
            )
            .cte("said")
        )
        await self._connection.execute(insert(TurnRow).values(self._columns_of(turn, user_seq, lease)).add_cte(said))

    def _columns_of(self, turn: NewTurn, user_seq: int, lease: timedelta) -> dict[str, Any]:
        brief = turn.brief
        resolution = brief.resolution
        return {
            "tenant_id": self._scope.tenant_id,
            "id": brief.turn_id,
            "chat_id": brief.chat_id,
            "user_id": self._scope.user_id,
            "request_id": brief.request_id,
            "kind": turn.kind,
            "body_fingerprint": turn.fingerprint,
            "on_disconnect": brief.on_disconnect,
            "user_seq": user_seq,
            "user_message_id": turn.user_message_id,
            "planned_message_id": brief.message_id,
            "trace_id": brief.trace.trace_id,
            "state": TurnState.RUNNING,
            "owner_id": turn.owner,
            "owner_epoch": brief.epoch,
            "lease_until": _from_now(lease),
            "selected_model": resolution.selected_model,
            "effective_model": resolution.effective.id,
            "provider_id": resolution.effective.provider_id,
            "quota_decision": resolution.decision,
            "downgrade_reason": resolution.downgrade_reason,
            "max_output_tokens": resolution.effective.max_output_tokens,
        }

    async def finish(self, turn_id: TurnId, chat_id: ChatId, epoch: int, result: TurnResult) -> bool:
        # The chat row first, as opening and deleting do: two transactions never wait for each other in a circle.
        await self._connection.execute(select(ChatRow.id).where(self._chat(chat_id)).with_for_update(key_share=True))
        ended = (
            update(TurnRow)
            .where(
                self._mine(),
                TurnRow.id == turn_id,
                TurnRow.state == TurnState.RUNNING,
                TurnRow.owner_epoch == epoch,
            )
            .values(_ending_columns(result))
            .returning(
                TurnRow.id, TurnRow.request_id, TurnRow.user_seq, TurnRow.planned_message_id, TurnRow.effective_model
            )
            .cte("ended")
        )
        spent = (
            delete(TurnPartRow)
            .where(of_tenant(TurnPartRow, self._scope), TurnPartRow.turn_id.in_(select(ended.c.id)))
            .cte("spent")
        )
        touched = (
            update(ChatRow)
            .where(self._chat(chat_id), exists(select(ended.c.id)))
            .values(updated_at=func.now())
            .returning(ChatRow.id)
            .add_cte(ended, spent)
        )
        if result.text is not None:
            touched = touched.add_cte(self._answered(ended, chat_id, result))
        return (await self._connection.execute(touched)).first() is not None

    def _answered(self, ended: CTE, chat_id: ChatId, result: TurnResult) -> CTE:
        answer: dict[str, ColumnElement[Any]] = {
            "tenant_id": literal(self._scope.tenant_id),
            "id": ended.c.planned_message_id,
            "chat_id": literal(chat_id),
            "turn_id": ended.c.id,
            "request_id": ended.c.request_id,
            "seq": ended.c.user_seq + 1,
            "role": literal(Role.ASSISTANT, Text()),
            "content": literal(result.text, Text()),
            "is_partial": literal(result.state is not TurnState.COMPLETED),
            "model": ended.c.effective_model,
            "finish_reason": literal(result.finish, Text()),
            "citations": literal(msgspec.to_builtins(result.citations), JSONB()) if result.citations else null(),
            "input_tokens": literal(result.input_tokens, BigInteger()),
            "output_tokens": literal(result.output_tokens, BigInteger()),
        }
        return insert(MessageRow).from_select(list(answer), select(*answer.values())).cte("answered")

    async def fence(self, turn_id: TurnId) -> Fence | None:
        statement = select(TurnRow.state, TurnRow.owner_epoch).where(self._mine(), TurnRow.id == turn_id)
        row = (await self._connection.execute(statement)).one_or_none()
        return None if row is None else Fence(state=TurnState(row.state), owner_epoch=row.owner_epoch)

    async def answer(self, turn_id: TurnId) -> StoredAnswer | None:
        statement = (
            select(
                *MESSAGE_COLUMNS,
                TurnRow.chat_id,
                TurnRow.user_message_id,
                TurnRow.selected_model,
                TurnRow.effective_model,
                TurnRow.quota_decision,
                TurnRow.downgrade_reason,
                TurnRow.input_tokens.label("used_input_tokens"),
                TurnRow.output_tokens.label("used_output_tokens"),
                TurnRow.ttft_ms,
                TurnRow.total_ms,
                TurnRow.last_event_id,
            )
            .join(MessageRow, _message_of_turn(MessageRow, TurnRow.assistant_message_id))
            .where(self._mine(), TurnRow.id == turn_id, TurnRow.state == TurnState.COMPLETED)
        )
        row = (await self._connection.execute(statement)).one_or_none()
        return None if row is None else _stored_answer(row)

    async def saved_text(self, turn_id: TurnId) -> str:
        body = aggregate_order_by(TurnPartRow.body, TurnPartRow.owner_epoch, TurnPartRow.part_no)
        statement = select(func.string_agg(body, "")).where(
            of_tenant(TurnPartRow, self._scope), TurnPartRow.turn_id == turn_id
        )
        return (await self._connection.execute(statement)).scalar_one() or ""

    def _mine(self) -> ColumnElement[bool]:
        return and_(of_tenant(TurnRow, self._scope), TurnRow.user_id == self._scope.user_id)

    def _chat(self, chat_id: ChatId) -> ColumnElement[bool]:
        """A deleted chat too: its last turn still has books to close."""
        return and_(of_tenant(ChatRow, self._scope), ChatRow.user_id == self._scope.user_id, ChatRow.id == chat_id)


def _in_chat(turn: type[TurnRow]) -> ColumnElement[bool]:
    return and_(turn.tenant_id == ChatRow.tenant_id, turn.chat_id == ChatRow.id)


def _message_of_turn(message: type[MessageRow], message_id: InstrumentedAttribute[Any]) -> ColumnElement[bool]:
    return and_(message.tenant_id == TurnRow.tenant_id, message.id == message_id)


def _from_now(duration: timedelta) -> ColumnElement[Any]:
    return func.now() + literal(duration, Interval())


def _ending_columns(result: TurnResult) -> dict[str, Any]:
    age_ms = func.floor(extract("epoch", func.now() - TurnRow.started_at) * 1000)
    return {
        "state": result.state,
        "finish_reason": result.finish,
        "error_code": result.error_code,
        "assistant_message_id": null() if result.text is None else TurnRow.planned_message_id,
        "lease_until": null(),
        "completed_at": func.now(),
        "usage_source": result.usage_source,
        "input_tokens": result.input_tokens,
        "output_tokens": result.output_tokens,
        "ttft_ms": result.ttft_ms,
        "total_ms": age_ms if result.total_ms is None else result.total_ms,
        "last_event_id": result.last_number,
    }


def _summary(row: Row[*tuple[Any, ...]], chat_id: ChatId, request_id: RequestId) -> TurnSummary:
    return TurnSummary(
        id=TurnId(row.id),
        chat_id=chat_id,
        request_id=request_id,
        state=TurnState(row.state),
        fingerprint=row.body_fingerprint,
    )


def _stored_answer(row: Row[*tuple[Any, ...]]) -> StoredAnswer:
    message = message_of(row)
    return StoredAnswer(
        request_id=message.request_id,
        chat_id=ChatId(row.chat_id),
        user_message_id=MessageId(row.user_message_id),
        message=message,
        selected_model=row.selected_model,
        effective_model=row.effective_model,
        quota_decision=row.quota_decision,
        downgrade_reason=row.downgrade_reason,
        finish=message.finish_reason or Finish.STOP,
        input_tokens=row.used_input_tokens,
        output_tokens=row.used_output_tokens,
        ttft_ms=row.ttft_ms,
        total_ms=row.total_ms,
        last_number=row.last_event_id,
    )
