"""Requests to cancel a turn of one owner, and what came of them."""

from typing import Final

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.ids import TurnId
from domain.quotas.settlement import released_micro
from domain.scope import AccessScope
from domain.streaming.models import StopReason
from domain.turns.models import TurnEnding, TurnState
from infra.postgres.connection_pool import driver_of
from infra.postgres.orm.turn import TurnRow
from infra.postgres.prepared import Prepared
from infra.postgres.repositories.bound import OUR_TURN, bound

_IS_RUNNING: Final = TurnRow.state == TurnState.RUNNING.value

_REQUEST: Final = Prepared(
    update(TurnRow)
    .where(OUR_TURN, _IS_RUNNING, TurnRow.cancel_requested_at.is_(None))
    .values(cancel_requested_at=func.now(), cancel_reason=bound("reason"))
    .returning(TurnRow.id)
)
_ENDING: Final = Prepared(
    select(
        TurnRow.state,
        TurnRow.output_tokens,
        TurnRow.upstream_closed_ms,
        TurnRow.settled_micro,
        TurnRow.reserved_micro,
    ).where(OUR_TURN, ~_IS_RUNNING)
)


def reason_of(word: str | None) -> StopReason:
    """A newer process may know reasons that we do not; the turn ends all the same, and the others are renewed."""
    try:
        return StopReason(word or "")
    except ValueError:
        return StopReason.CANCEL_REQUESTED


class PostgresCancellations:
    """Fills the port Cancellations."""

    def __init__(self, connection: AsyncConnection, scope: AccessScope) -> None:
        self._connection = connection
        self._scope = scope

    async def request(self, turn_id: TurnId, reason: StopReason) -> None:
        await _REQUEST.one(driver_of(self._connection), {**self._named(turn_id), "b_reason": reason.value})

    async def ending(self, turn_id: TurnId) -> TurnEnding | None:
        row = await _ENDING.one(driver_of(self._connection), self._named(turn_id))
        if row is None:
            return None
        return TurnEnding(
            state=TurnState(row["state"]),
            output_tokens=row["output_tokens"] or 0,
            upstream_closed_ms=row["upstream_closed_ms"],
            charged_micro=row["settled_micro"] or 0,
            released_micro=released_micro(row["reserved_micro"] or 0, row["settled_micro"] or 0),
        )

    def _named(self, turn_id: TurnId) -> dict[str, object]:
        return {"b_tenant_id": self._scope.tenant_id, "b_user_id": self._scope.user_id, "b_turn_id": turn_id}
