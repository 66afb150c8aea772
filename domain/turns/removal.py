"""Deleting the newest turn of a chat with both its messages (api.md 3.5)."""

from contextlib import suppress

from domain.auth.policy import Action, Policy
from domain.errors import ServiceUnavailable
from domain.ids import ChatId, RequestId
from domain.scope import AccessScope, scope_for
from domain.subject import Subject
from domain.turns.models import TurnName
from domain.turns.mutations import changeable
from domain.turns.ports import ChangeTx
from domain.unit_of_work import TransactionConflict, UnitOfWork

_PASSES = 3


class TurnRemoval:
    def __init__(self, begin: UnitOfWork[ChangeTx], policy: Policy) -> None:
        self._begin = begin
        self._policy = policy

    async def remove(self, who: Subject, chat_id: ChatId, name: TurnName) -> None:
        """Afterwards the turn and its messages are gone from lists, counts and history; its key stays taken.

        Raises ChatNotFound, TurnNotFound, InvalidTurnState, NotLatestTurn.
        """
        self._policy.require(who, Action.DELETE_TURN)
        scope = scope_for(who)
        for _ in range(_PASSES):
            with suppress(TransactionConflict):
                left = await self._left(scope, chat_id, name)
                if left is None:
                    return
                name = left
        raise ServiceUnavailable

    async def _left(self, scope: AccessScope, chat_id: ChatId, name: TurnName) -> RequestId | None:
        """The turn that is still there, to be looked at once more, when the chat moved between read and write.

        By its key: `latest` may name another one by then.
        """
        async with self._begin(scope) as tx:
            target = changeable(await tx.changes.aim(chat_id, name))
            removed = await tx.changes.remove(chat_id, target.revision, target.turn_id)
        return None if removed else target.request_id
