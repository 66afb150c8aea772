"""What became of a turn, long after it or while it runs (api.md 3.5)."""

from domain.auth.policy import Action, Policy
from domain.errors import ChatNotFound, TurnNotFound
from domain.ids import ChatId
from domain.scope import scope_for
from domain.subject import Subject
from domain.turns.models import TurnLookup, TurnName, TurnStatus
from domain.turns.ports import StatusTx
from domain.unit_of_work import Access, UnitOfWork


class TurnStatuses:
    def __init__(self, begin: UnitOfWork[StatusTx], policy: Policy) -> None:
        self._begin = begin
        self._policy = policy

    async def read(self, who: Subject, chat_id: ChatId, name: TurnName) -> TurnStatus:
        """Deleted and replaced turns too. Raises ChatNotFound, TurnNotFound."""
        self._policy.require(who, Action.READ_TURN)
        async with self._begin(scope_for(who), Access.READ) as tx:
            found = await tx.statuses.find(chat_id, name)
        return turn_in(found)


def turn_in(found: TurnLookup | None) -> TurnStatus:
    """Raises ChatNotFound, TurnNotFound."""
    if found is None:
        raise ChatNotFound
    if found.turn is None:
        raise TurnNotFound
    return found.turn
