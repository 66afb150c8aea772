"""Cancelling a turn because somebody asks for it, whichever process runs it (api.md 3.5, engine.md 2.7)."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import anyio
import msgspec
from msgspec.structs import replace

from domain.auth.policy import Action, Policy
from domain.errors import ServiceUnavailable
from domain.ids import ChatId
from domain.scope import AccessScope, scope_for
from domain.streaming.models import StopReason
from domain.streaming.supervisor import TurnSupervisor
from domain.subject import Subject
from domain.telemetry.ports import Counted, Telemetry
from domain.turns.bus import Bus, StopTurn
from domain.turns.models import TurnEnding, TurnName, TurnState, TurnStatus
from domain.turns.ports import CancellationTx
from domain.turns.status import turn_in
from domain.unit_of_work import Access, UnitOfWork

_FIRST_PAUSE_S = 0.025
_LONGEST_PAUSE_S = 0.25


class CancelReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What has become of the turn. Running: nobody has confirmed its end yet, and the request stays in force.

    `upstream_closed_ms` None: no provider connection had to be closed for it.
    """

    state: TurnState
    upstream_closed_ms: int | None = None
    tokens_generated: int = 0
    charged_micro: int = 0
    released_micro: int = 0


class Cancellation:
    """`begin_reserved` runs on the pool that requests cannot exhaust; only repeated looks are taken on theirs."""

    def __init__(
        self,
        begin_reserved: UnitOfWork[CancellationTx],
        begin: UnitOfWork[CancellationTx],
        policy: Policy,
        supervisor: TurnSupervisor,
        bus: Bus,
        receipt_wait: timedelta,
        telemetry: Telemetry,
    ) -> None:
        self._begin_reserved = begin_reserved
        self._begin = begin
        self._policy = policy
        self._supervisor = supervisor
        self._bus = bus
        self._receipt_wait = receipt_wait
        self._telemetry = telemetry

    async def cancel(self, who: Subject, chat_id: ChatId, name: TurnName) -> CancelReceipt:
        """Returns when the turn's books are closed, by this or by another ending; the row tells which.

        Once the request is in the row it takes effect whatever becomes of this call, of the bus or of the owner.
        Raises ChatNotFound, TurnNotFound, ServiceUnavailable.
        """
        self._policy.require(who, Action.CANCEL_TURN)
        return await self.end(scope_for(who), chat_id, name, StopReason.CANCEL_REQUESTED, trigger="user")

    async def end(
        self, scope: AccessScope, chat_id: ChatId, name: TurnName, reason: StopReason, *, trigger: str
    ) -> CancelReceipt:
        """As `cancel`, for whoever may: the scope is that of the turn's owner."""
        async with self._begin_reserved(scope) as tx:
            turn = turn_in(await tx.statuses.find(chat_id, name))
            await tx.cancellations.request(turn.id, reason)
            ending = await tx.cancellations.ending(turn.id)
        if ending is not None:
            return replace(_receipt(ending), upstream_closed_ms=None)
        self._telemetry.count(Counted.CANCEL_REQUESTED, trigger=trigger)
        with anyio.move_on_after(self._receipt_wait.total_seconds()):
            return _receipt(await self._ending_of(scope, turn, reason))
        return CancelReceipt(state=TurnState.RUNNING)

    async def _ending_of(self, scope: AccessScope, turn: TurnStatus, reason: StopReason) -> TurnEnding:
        """Told again in each round: the bus may lose a word, and a turn may be about to start."""
        pause_s = _FIRST_PAUSE_S
        while True:
            ran_here = await self._supervisor.see_off(turn.id, reason)
            if not ran_here:
                await self._tell_its_owner(scope, turn, reason)
                await anyio.sleep(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            with suppress(ServiceUnavailable):
                async with (self._begin_reserved if ran_here else self._begin)(scope, Access.READ) as tx:
                    ending = await tx.cancellations.ending(turn.id)
                if ending is not None:
                    return ending

    async def _tell_its_owner(self, scope: AccessScope, turn: TurnStatus, reason: StopReason) -> None:
        if turn.owner_id is not None:
            word = StopTurn(tenant_id=scope.tenant_id, turn_id=turn.id, epoch=turn.owner_epoch, reason=reason)
            await self._bus.tell(turn.owner_id, word)


def _receipt(ending: TurnEnding) -> CancelReceipt:
    return CancelReceipt(
        state=ending.state,
        upstream_closed_ms=ending.upstream_closed_ms,
        tokens_generated=ending.output_tokens,
        charged_micro=ending.charged_micro,
        released_micro=ending.released_micro,
    )


def stopping_when_told(supervisor: TurnSupervisor) -> Callable[[StopTurn], None]:
    """The handler of words from other processes: stops the very turn that was meant, or nothing."""

    def stop(word: StopTurn) -> None:
        actor = supervisor.find(word.turn_id)
        if actor is not None and word.means(actor.brief):
            actor.stop(word.reason)

    return stop
