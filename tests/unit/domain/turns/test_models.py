from uuid import UUID

import pytest
from msgspec.structs import replace

from domain.chats.service import ChatDraft
from domain.ids import ChatId, RequestId
from domain.streaming.ports import OnDisconnect
from domain.turns.models import PUBLIC_STATES, SendCommand, TurnState

COMMAND = SendCommand(target=ChatId(UUID(int=1)), content="Hello")

SAME: list[dict[str, object]] = [
    {"on_disconnect": OnDisconnect.CONTINUE},
    {"metadata": {"a": "b"}},
    {"request_id": RequestId(UUID(int=2))},
    {"target": ChatDraft()},
]
OTHER: list[dict[str, object]] = [
    {"content": "Hello "},
    {"attachment_ids": ("a",)},
    {"attachment_ids": ("a", "b")},
    {"attachment_ids": ("b", "a")},
    {"web_search": True},
]


@pytest.mark.parametrize("members", SAME)
def test_what_is_no_part_of_the_question_leaves_the_fingerprint_alone(members: dict[str, object]) -> None:
    assert replace(COMMAND, **members).fingerprint() == COMMAND.fingerprint()


def test_every_other_question_has_another_fingerprint() -> None:
    """api.md 1.5; attachments count in their order."""
    prints = {replace(COMMAND, **members).fingerprint() for members in OTHER} | {COMMAND.fingerprint()}
    assert len(prints) == len(OTHER) + 1
    assert {len(each) for each in prints} == {32}


def test_every_stored_state_has_its_public_word() -> None:
    assert {state.value: word for state, word in PUBLIC_STATES.items()} == {
        "running": "running",
        "completed": "done",
        "failed": "error",
        "cancelled": "cancelled",
    }
    assert PUBLIC_STATES.keys() == set(TurnState)
