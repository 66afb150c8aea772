"""What a turn is told whose chat is being deleted, wherever it runs (engine.md 2.8)."""

from domain.chats.models import RunningTurn
from domain.chats.ports import StopTurn
from domain.scope import AccessScope
from domain.streaming.models import StopReason
from domain.streaming.supervisor import TurnSupervisor
from domain.turns import bus


def stopping_when_chat_goes(supervisor: TurnSupervisor, messages: bus.Bus) -> StopTurn:
    """At once in this process, else by a word to the owner; a word that gets lost is in the row as well."""

    async def stop(scope: AccessScope, turn: RunningTurn) -> None:
        if supervisor.find(turn.turn_id) is not None:
            supervisor.stop(turn.turn_id, StopReason.CHAT_DELETED)
        elif turn.owner_id is not None:
            word = bus.StopTurn(
                tenant_id=scope.tenant_id,
                turn_id=turn.turn_id,
                epoch=turn.owner_epoch,
                reason=StopReason.CHAT_DELETED,
            )
            await messages.tell(turn.owner_id, word)

    return stop
