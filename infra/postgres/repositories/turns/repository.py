"""The turns of one owner. Each state change is one conditional statement: only if nobody else did.

The statements are built once, when their module is read: building them costs more than running them. Every one
names `tenant_id` and `user_id`, which come from the scope.
"""

from collections.abc import Mapping
from datetime import timedelta
from hashlib import blake2b
from typing import Any, Final

import asyncpg
from sqlalchemy import (
    CursorResult,
    Executable,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.chats.models import NewChat
from domain.context.history import History
from domain.ids import ChatId, RequestId, TurnId
from domain.limits.turn_caps import RunningTurns
from domain.quotas.periods import PeriodType
from domain.scope import AccessScope
from domain.streaming.models import StopReason
from domain.streaming.ports import TurnBrief
from domain.turns.models import (
    Fence,
    Founding,
    Gate,
    NewTurn,
    Remains,
    StoredAnswer,
    StoredFailure,
    TurnResult,
    TurnState,
)
from infra.postgres.connection_pool import driver_of
from infra.postgres.orm.turn import TurnRow
from infra.postgres.prepared import Prepared
from infra.postgres.repositories.bound import OUR_TURN
from infra.postgres.repositories.cancellations import reason_of
from infra.postgres.repositories.histories import HISTORY, history_of
from infra.postgres.repositories.turns.ending import FINISH, ending_values
from infra.postgres.repositories.turns.gate import FOUNDING, GATE, founding_of, gate_of
from infra.postgres.repositories.turns.marks import MARK_CALLED, MARK_CALLED_INSTEAD, STAY_WITH
from infra.postgres.repositories.turns.opening import (
    OPEN,
    OPEN_IN_NEW_CHAT,
    OPEN_IN_PLACE,
    QUEUE_UP,
    RESERVE_SEQ,
    RUNNING,
    founding_values,
    opening_values,
    running_turns,
    user_seq_of,
)
from infra.postgres.repositories.turns.remains import REMAINS, remains_of
from infra.postgres.repositories.turns.stored import FAILURE, STORED_ANSWER, stored_answer, stored_failure
from infra.postgres.repositories.turns.terms import model_of, prices_of

_FENCE: Final = Prepared(select(TurnRow.state, TurnRow.owner_epoch, TurnRow.error_code).where(OUR_TURN))


class PostgresTurns:
    """Fills the port Turns."""

    def __init__(self, connection: AsyncConnection, scope: AccessScope) -> None:
        self._connection = connection
        self._scope = scope
        self._ours: Mapping[str, object] = {"tenant_id": scope.tenant_id, "user_id": scope.user_id}

    @property
    def _queue(self) -> int:
        """The number of this user's lock. Should two users ever share one, they only wait for each other."""
        names = self._scope.tenant_id.bytes + self._scope.user_id.bytes
        return int.from_bytes(blake2b(names, digest_size=8).digest(), signed=True)

    async def gate(self, chat_id: ChatId, request_id: RequestId) -> Gate | None:
        row = await self._one(GATE, chat_id=chat_id, request_id=request_id)
        if row is None:
            return None
        return gate_of(row, chat_id, request_id)

    async def founding(self, request_id: RequestId) -> Founding:
        row = await self._one(FOUNDING, request_id=request_id)
        assert row is not None  # noqa: S101 - the left side of the join is always there
        return founding_of(row, request_id)

    async def history(self, chat_id: ChatId, newest: int, max_bytes: int, without: TurnId | None = None) -> History:
        bounds = {"chat_id": chat_id, "newest": newest, "max_bytes": max_bytes, "without": without}
        rows = await HISTORY.all(driver_of(self._connection), _bound({**self._ours, **bounds}))
        return history_of(rows)

    async def reserve_seq(self, chat_id: ChatId, revision: int, first_line: str | None = None) -> int | None:
        values = {"chat_id": chat_id, "seen_revision": revision, "first_line": first_line, "queue": self._queue}
        row = await self._one(RESERVE_SEQ, **values)
        return None if row is None else user_seq_of(row)

    async def queue_up(self) -> None:
        await self._one(QUEUE_UP, queue=self._queue)

    async def running(self) -> RunningTurns:
        return running_turns(await self._one(RUNNING))

    async def open(self, turn: NewTurn, user_seq: int, lease: timedelta) -> RunningTurns:
        return running_turns(await self._one(OPEN, **opening_values(turn, user_seq, lease)))

    async def open_in_new_chat(self, turn: NewTurn, chat: NewChat, lease: timedelta) -> RunningTurns:
        return running_turns(await self._one(OPEN_IN_NEW_CHAT, **founding_values(turn, chat, lease)))

    async def open_in_place_of(self, old: TurnId, turn: NewTurn, user_seq: int, lease: timedelta) -> RunningTurns:
        opened = await self._one(OPEN_IN_PLACE, **opening_values(turn, user_seq, lease), old_turn_id=old)
        return running_turns(opened)

    async def finish(
        self, turn_id: TurnId, chat_id: ChatId, epoch: int, result: TurnResult
    ) -> tuple[PeriodType, ...] | None:
        finished = await self._one(FINISH, turn_id=turn_id, chat_id=chat_id, epoch=epoch, **ending_values(result))
        return None if finished is None else tuple(map(PeriodType, finished["short"] or ()))

    async def fence(self, turn_id: TurnId) -> Fence | None:
        row = await self._one(_FENCE, turn_id=turn_id)
        if row is None:
            return None
        return Fence(state=TurnState(row["state"]), owner_epoch=row["owner_epoch"], error_code=row["error_code"])

    async def answer(self, turn_id: TurnId) -> StoredAnswer | None:
        row = (await self._run(STORED_ANSWER, turn_id=turn_id)).one_or_none()
        return None if row is None else stored_answer(row)

    async def failure(self, turn_id: TurnId) -> StoredFailure | None:
        row = (await self._run(FAILURE, turn_id=turn_id)).one_or_none()
        return None if row is None else stored_failure(row)

    async def mark_called(self, turn_id: TurnId, epoch: int) -> StopReason | None:
        row = await self._one(MARK_CALLED, turn_id=turn_id, epoch=epoch)
        if row is None:
            return StopReason.LEASE_LOST
        return reason_of(row["cancel_reason"]) if row["is_cancelled"] else None

    async def mark_called_instead(self, brief: TurnBrief) -> StopReason | None:
        if await self._renamed(MARK_CALLED_INSTEAD, brief):
            return None
        return await self.mark_called(brief.turn_id, brief.epoch) or StopReason.LEASE_LOST

    async def stay_with(self, brief: TurnBrief) -> None:
        await self._renamed(STAY_WITH, brief)

    async def remains(self, turn_id: TurnId) -> Remains:
        row = (await self._run(REMAINS, turn_id=turn_id)).one()
        return remains_of(row, turn_id, self._scope)

    async def _renamed(self, statement: Prepared, brief: TurnBrief) -> bool:
        values = {**model_of(brief), **prices_of(brief.hold)}
        return await self._one(statement, turn_id=brief.turn_id, epoch=brief.epoch, **values) is not None

    async def _one(self, statement: Prepared, **values: object) -> asyncpg.Record | None:
        return await statement.one(driver_of(self._connection), _bound({**self._ours, **values}))

    async def _run(self, statement: Executable, **values: object) -> CursorResult[*tuple[Any, ...]]:
        return await self._connection.execute(statement, _bound({**self._ours, **values}))


def _bound(values: Mapping[str, object]) -> dict[str, object]:
    return {f"b_{name}": value for name, value in values.items()}
