"""Reading a turn that somebody has started, from the event after the last one that is known (api.md 4.6)."""

from collections.abc import Sequence
from functools import partial

from domain.auth.policy import Action, Policy
from domain.ids import ChatId
from domain.scope import AccessScope, scope_for
from domain.streaming.channel import Reader, Recording
from domain.streaming.events import FIRST_NUMBER, Numbered
from domain.streaming.supervisor import TurnSupervisor
from domain.subject import Subject
from domain.telemetry.ports import Counted, Telemetry
from domain.turns.bus import Bus
from domain.turns.follower import Followed
from domain.turns.followers import Followers
from domain.turns.models import TurnName, TurnState, TurnStatus
from domain.turns.ports import TurnTx
from domain.turns.replay import replayed, replayed_failure, rest_after, started_again
from domain.turns.status import turn_in
from domain.unit_of_work import Access, UnitOfWork


class Attaching:
    """Starts nothing and charges nothing; a turn is read where it is: here, at another process, or in its rows."""

    def __init__(
        self,
        begin: UnitOfWork[TurnTx],
        policy: Policy,
        supervisor: TurnSupervisor,
        bus: Bus,
        followers: Followers,
        telemetry: Telemetry,
    ) -> None:
        self._begin = begin
        self._policy = policy
        self._supervisor = supervisor
        self._bus = bus
        self._followers = followers
        self._telemetry = telemetry

    async def attach(self, who: Subject, chat_id: ChatId, name: TurnName, position: int) -> Reader | None:
        """A reader of what follows `position`, 0 for everything; None when nothing does or ever will.

        Raises ChatNotFound, TurnNotFound, RateLimited.
        """
        self._policy.require(who, Action.READ_TURN)
        scope = scope_for(who)
        turn, told = await self._look_up(scope, chat_id, name)
        if told is None:
            return self._here(turn, position) or self._elsewhere(scope, turn, position)
        rest = rest_after(position, told)
        if rest:
            self._telemetry.count(Counted.STREAM_REPLAY, source="database")
        return Recording(rest) if rest else None

    def _here(self, turn: TurnStatus, position: int) -> Reader | None:
        reader = self._supervisor.attach(turn.id, position)
        if reader is not None:
            self._telemetry.count(Counted.STREAM_ATTACH, source="memory")
        return reader

    def _elsewhere(self, scope: AccessScope, turn: TurnStatus, position: int) -> Reader:
        first: list[Numbered] = [] if position else [(FIRST_NUMBER, started_again(turn))]
        followed = Followed(scope.tenant_id, turn.id, turn.owner_epoch)
        look = partial(self._told, scope, turn)
        reader = self._followers.follow(followed, turn.owner_id, first, position, look)
        self._telemetry.count(Counted.STREAM_ATTACH, source="mirror" if self._bus.healthy else "database")
        return reader

    async def _told(self, scope: AccessScope, turn: TurnStatus) -> Sequence[Numbered] | None:
        _, told = await self._look_up(scope, turn.chat_id, turn.request_id)
        return told

    async def _look_up(
        self, scope: AccessScope, chat_id: ChatId, name: TurnName
    ) -> tuple[TurnStatus, Sequence[Numbered] | None]:
        """The turn, and its condensed form once it has ended: empty when it is deleted or replaced."""
        async with self._begin(scope, Access.READ) as tx:
            turn = turn_in(await tx.statuses.find(chat_id, name))
            if turn.deleted_at is not None:
                return turn, ()
            return turn, await _condensed(tx, turn)


async def _condensed(tx: TurnTx, turn: TurnStatus) -> Sequence[Numbered] | None:
    if turn.state is TurnState.RUNNING:
        return None
    if turn.state is TurnState.COMPLETED:
        answer = await tx.turns.answer(turn.id)
        return () if answer is None else replayed(answer)
    failure = await tx.turns.failure(turn.id)
    return () if failure is None else replayed_failure(turn, failure)
