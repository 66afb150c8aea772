from uuid import UUID

import pytest
from msgspec.structs import replace

from domain.errors import ChatNotFound, DomainError, InvalidTurnState, NotLatestTurn, TurnNotFound
from domain.ids import ChatId, RequestId, TurnId
from domain.streaming.ports import OnDisconnect
from domain.turns.models import LATEST, SendCommand, TurnKind, TurnState
from domain.turns.mutations import Aim, ChangeCommand, Target, changeable

OLD, NEW = RequestId(UUID(int=1)), RequestId(UUID(int=2))
CHAT_ID = ChatId(UUID(int=3))
TARGET = Target(
    revision=7,
    turn_id=TurnId(UUID(int=4)),
    request_id=OLD,
    state=TurnState.COMPLETED,
    is_newest=True,
    content="Hello",
    metadata={"a": "b"},
    web_search=True,
)
RETRY = ChangeCommand(chat_id=CHAT_ID, turn=OLD)
EDIT = replace(RETRY, content="Goodbye")


@pytest.mark.parametrize("state", [TurnState.COMPLETED, TurnState.FAILED, TurnState.CANCELLED])
def test_the_newest_turn_may_change_once_it_has_ended(state: TurnState) -> None:
    target = replace(TARGET, state=state)
    assert changeable(Aim(target=target)) is target


@pytest.mark.parametrize(
    ("aim", "error"),
    [
        (None, ChatNotFound),
        (Aim(target=None), TurnNotFound),
        (Aim(target=replace(TARGET, state=TurnState.RUNNING, is_newest=False)), InvalidTurnState),
        (Aim(target=replace(TARGET, is_newest=False)), NotLatestTurn),
    ],
)
def test_the_first_reason_to_refuse_is_told(aim: Aim | None, error: type[DomainError]) -> None:
    with pytest.raises(error):
        changeable(aim)


def test_a_turn_that_runs_is_told_to_do_so() -> None:
    with pytest.raises(InvalidTurnState) as refusal:
        changeable(Aim(target=replace(TARGET, state=TurnState.RUNNING)))
    assert refusal.value.members == {"turn_state": "running"}


def test_a_retry_asks_what_was_asked() -> None:
    asked = replace(RETRY, request_id=NEW).question(TARGET)
    assert asked == SendCommand(target=CHAT_ID, content="Hello", request_id=NEW, web_search=True, metadata={"a": "b"})
    assert RETRY.kind is TurnKind.RETRY


def test_what_a_change_says_itself_comes_before_what_was_said() -> None:
    asked = replace(EDIT, web_search=False, on_disconnect=OnDisconnect.CONTINUE).question(TARGET)
    assert (asked.content, asked.web_search, asked.on_disconnect) == ("Goodbye", False, OnDisconnect.CONTINUE)
    assert asked.metadata == {"a": "b"}
    assert EDIT.kind is TurnKind.EDIT


def test_a_second_look_is_at_the_turn_that_was_seen_first() -> None:
    latest = replace(RETRY, turn=LATEST)
    assert latest.aim == LATEST
    assert replace(latest, seen=OLD).aim == OLD


def test_what_was_seen_and_what_does_not_change_the_question_leave_the_fingerprint_alone() -> None:
    same = [
        replace(RETRY, seen=NEW),
        replace(RETRY, request_id=NEW),
        replace(RETRY, on_disconnect=OnDisconnect.CONTINUE),
    ]
    assert {each.fingerprint() for each in same} == {RETRY.fingerprint()}


def test_every_other_change_has_another_fingerprint() -> None:
    """api.md 1.5: kind of call, the turn as it was named, content, search."""
    calls: list[ChangeCommand | SendCommand] = [
        RETRY,
        EDIT,
        replace(RETRY, turn=NEW),
        replace(RETRY, turn=LATEST),
        replace(RETRY, web_search=True),
        replace(RETRY, web_search=False),
        replace(EDIT, content="Goodbye "),
        SendCommand(target=CHAT_ID, content="Goodbye"),
    ]
    assert len({call.fingerprint() for call in calls}) == len(calls)
