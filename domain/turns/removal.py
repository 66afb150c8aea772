"""Deleting the newest turn of a chat with both its messages (api.md 3.5)."""

from domain.auth.policy import Action, Policy
from domain.clock import Clock
from domain.errors import ServiceUnavailable
from domain.ids import ChatId
from domain.scope import AccessScope, scope_for
from domain.subject import Subject
from domain.turns.audit import event_of_removal
from domain.turns.models import TurnName
from domain.turns.mutations import Target, changeable
from domain.turns.ports import TurnTx
from domain.unit_of_work import Access, OutcomeUnknown, TransactionConflict, UnitOfWork

_PASSES = 3


class TurnRemoval:
    def __init__(self, begin: UnitOfWork[TurnTx], policy: Policy, clock: Clock) -> None:
        self._begin = begin
        self._policy = policy
        self._clock = clock

    async def remove(self, who: Subject, chat_id: ChatId, name: TurnName) -> None:
        """Afterwards the turn and its messages are gone from lists, counts and history; its key stays taken.

        Raises ChatNotFound, TurnNotFound, InvalidTurnState, NotLatestTurn.
        """
        self._policy.require(who, Action.DELETE_TURN)
        scope = scope_for(who)
        for _ in range(_PASSES):
            target = await self._aimed_at(scope, chat_id, name)
            if await self._removed(scope, chat_id, target):
                return
            # By its key from now on: `latest` may name the turn of whoever was faster.
            name = target.request_id
        raise ServiceUnavailable

    async def _aimed_at(self, scope: AccessScope, chat_id: ChatId, name: TurnName) -> Target:
        async with self._begin(scope, Access.READ) as tx:
            aim = await tx.changes.aim(chat_id, name)
        return changeable(aim)

    async def _removed(self, scope: AccessScope, chat_id: ChatId, target: Target) -> bool:
        """False when the chat moved on since it was read."""
        try:
            async with self._begin(scope) as tx:
                removed = await tx.changes.remove(chat_id, target.revision, target.turn_id)
                if removed:
                    await tx.events.add(event_of_removal(scope, chat_id, target, self._clock.now()))
                return removed
        except TransactionConflict:
            return False
        except OutcomeUnknown:
            return await self._was_removed(scope, chat_id, target)

    async def _was_removed(self, scope: AccessScope, chat_id: ChatId, target: Target) -> bool:
        """The row answers what the lost reply would have said; a turn that was replaced was not removed by us."""
        async with self._begin(scope, Access.READ) as tx:
            found = await tx.statuses.find(chat_id, target.request_id)
        turn = None if found is None else found.turn
        return turn is not None and turn.deleted_at is not None and turn.replaced_by is None
