"""What the keepers of the books are told about turns (engine.md 7.2): facts and ids, no words. Pure."""

from datetime import datetime

from domain.audit.events import About, Actor, EventType, NewEvent, audit_event
from domain.chats.models import NewChat
from domain.ids import ChatId
from domain.scope import AccessScope
from domain.turns.admission import Admitted
from domain.turns.models import NewTurn, TurnKind
from domain.turns.mutations import ChangeCommand, Target

_CHANGED = {TurnKind.RETRY: EventType.TURN_RETRY, TurnKind.EDIT: EventType.TURN_EDIT}


def events_of_opening(turn: NewTurn, admitted: Admitted, now: datetime) -> tuple[NewEvent, ...]:
    """What came into being or was replaced with the turn; of the turn itself its end will tell."""
    brief = turn.brief
    if isinstance(admitted.place, NewChat):
        created = audit_event(
            EventType.CHAT_CREATED,
            brief.scope,
            Actor.behind(brief.scope),
            now,
            About(chat_id=brief.chat_id),
            trace_id=brief.trace.trace_id,
            details={"model": admitted.place.model, "is_temporary": admitted.place.is_temporary},
        )
        return (created,)
    return (_change(turn, admitted, admitted.origin, now),) if isinstance(admitted.origin, ChangeCommand) else ()


def event_of_removal(scope: AccessScope, chat_id: ChatId, target: Target, now: datetime) -> NewEvent:
    about = About(chat_id=chat_id, turn_id=target.turn_id, request_id=target.request_id)
    return audit_event(EventType.TURN_DELETE, scope, Actor.behind(scope), now, about, once="turn_delete")


def _change(turn: NewTurn, admitted: Admitted, change: ChangeCommand, now: datetime) -> NewEvent:
    """The turn it is about is the one that went."""
    brief, event_type = turn.brief, _CHANGED[turn.kind]
    return audit_event(
        event_type,
        brief.scope,
        Actor.behind(brief.scope),
        now,
        About(chat_id=brief.chat_id, turn_id=admitted.replaces, request_id=change.seen),
        once=event_type.value,
        trace_id=brief.trace.trace_id,
        details={
            "original_request_id": change.seen,
            "new_request_id": brief.request_id,
            "new_turn_id": brief.turn_id,
        },
    )
