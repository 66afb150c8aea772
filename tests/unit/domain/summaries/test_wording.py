"""What a summarising model is asked, and what is made of its answer (engine.md 6.3, 6.4)."""

from uuid import uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.catalogue.models import Estimation, ModelSpec
from domain.ids import TurnId
from domain.providers.capabilities import Capabilities
from domain.providers.request import ContextBlock
from domain.summaries.models import Material, SpokenTurn
from domain.summaries.reach import NoRoom, Reach, reach_of
from domain.summaries.wording import MOST_SUMMARY_BYTES, PROMPT, Question, UnusableSummary, cleaned, question

NONCE = "0123456789abcdef0123456789abcdef"
MODEL = ModelSpec(id="m", provider_id="p", provider_model_id="m", max_output_tokens=4_096)


def a_turn(asked: str = "q", answered: str = "a", end_seq: int = 2) -> SpokenTurn:
    return SpokenTurn(turn_id=TurnId(uuid4()), end_seq=end_seq, user_text=asked, assistant_text=answered)


def record(asked: Question) -> list[dict[str, str]]:
    block = asked.items[0]
    assert isinstance(block, ContextBlock)
    opening, said, closing = block.text.split("\n")
    assert opening in asked.instructions
    assert closing in asked.instructions
    return msgspec.json.decode(said, type=list[dict[str, str]])


def test_what_was_said_is_json_between_markers_that_the_instructions_name() -> None:
    asked = question(PROMPT, "earlier", [a_turn("q1", "a1"), a_turn("q2", "a2")], 100, NONCE)
    assert record(asked) == [
        {"role": "summary", "text": "earlier"},
        {"role": "user", "text": "q1"},
        {"role": "assistant", "text": "a1"},
        {"role": "user", "text": "q2"},
        {"role": "assistant", "text": "a2"},
    ]
    assert asked.items[-1].text == "Summarise the record."


def test_without_an_earlier_summary_there_is_none_in_the_record() -> None:
    assert record(question(PROMPT, "", [a_turn()], 100, NONCE)) == [
        {"role": "user", "text": "q"},
        {"role": "assistant", "text": "a"},
    ]


def test_long_messages_are_cut_off_and_say_so() -> None:
    assert record(question(PROMPT, "", [a_turn("u" * 10, "a" * 11)], 10, NONCE)) == [
        {"role": "user", "text": "u" * 10},
        {"role": "assistant", "text": "a" * 10 + " […]"},
    ]


@given(text=st.text(alphabet=st.sampled_from('<>"[]{},:\\\n a' + NONCE), max_size=80))
def test_no_message_gets_out_of_its_entry(text: str) -> None:
    """Neither by quotes nor by markers: the record stays two entries, whatever one of them says."""
    entries = record(question(PROMPT, "", [a_turn(text, "a")], 1_000, NONCE))
    assert [entry["role"] for entry in entries] == ["user", "assistant"]
    assert entries[1]["text"] == "a"


ANSWERS = {
    "<summary>It is.</summary>": "It is.",
    "  It is.\n": "It is.",
    "<analysis>Hm.</analysis>\n<summary>\nIt is.\n</summary> Bye.": "It is.",
    "<analysis>Hm, not closed <summary>It is.</summary>": "It is.",
    "<ANALYSIS>Hm.</ANALYSIS>It is.": "It is.",
    "<summary>One.</summary><summary>Two.</summary>": "One.",
    "<summary>Cut off by the li": "Cut off by the li",
    "It is.</summary>": "It is.",
    "a\n\n\n \n\nb\n\nc\nd": "a\n\nb\n\nc\nd",
    "a\r\n\r\n\r\nb": "a\n\nb",
    "a\x00b\x1b[31mc\u202ed\tz": "ab[31mcd\tz",
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_is_its_first_summary_and_nothing_else(answer: str) -> None:
    assert cleaned(answer) == ANSWERS[answer]


@pytest.mark.parametrize("answer", ["", " \n", "<summary></summary>", "<analysis>only</analysis>", "\x00"])
def test_an_empty_answer_is_no_summary(answer: str) -> None:
    with pytest.raises(UnusableSummary):
        cleaned(answer)


def test_a_summary_has_a_bound_in_bytes() -> None:
    assert len(cleaned("é" * (MOST_SUMMARY_BYTES // 2))) == MOST_SUMMARY_BYTES // 2
    with pytest.raises(UnusableSummary):
        cleaned("é" * (MOST_SUMMARY_BYTES // 2) + "e")


def reach(turns: list[SpokenTurn], room: int = 96_000, carried: Capabilities | None = None, recap: str = "") -> Reach:
    material = Material(chat_model="m", version=0, recap=recap, turns=turns)
    model = msgspec.structs.replace(MODEL, max_input_tokens=room)
    return reach_of(material, model, Estimation(), carried or Capabilities(), PROMPT, 4_000, NONCE)


def test_all_turns_are_asked_about_where_they_fit() -> None:
    turns = [a_turn(f"q{number}", end_seq=2 * number) for number in range(1, 8)]
    assert reach(turns).turns == turns


@given(
    sizes=st.lists(st.integers(min_value=1, max_value=4_000), min_size=1, max_size=20),
    room=st.integers(min_value=1_000, max_value=20_000),
)
def test_the_longest_oldest_part_that_fits_is_asked_about(sizes: list[int], room: int) -> None:
    turns = [a_turn("u" * size, "a" * size, 2 * number) for number, size in enumerate(sizes, 1)]
    found = reach(turns, room)
    count = len(found.turns)
    assert found.turns == turns[:count]
    assert count >= 1
    assert tokens(found.question) <= room
    if 1 < count < len(turns):
        assert tokens(question(PROMPT, "", turns[: count + 1], 4_000, NONCE)) > room


def tokens(asked: Question) -> int:
    """The worked formula of engine.md 4.3."""
    whole = "\n\n".join((asked.instructions, *(item.text for item in asked.items)))
    return -(-(-(-len(whole.encode()) // 4) + 100) * 110 // 100)


def test_of_a_turn_that_does_not_fit_by_itself_less_is_shown() -> None:
    found = reach([a_turn("u" * 4_000, "a" * 4_000)], room=1_200)
    entries = record(found.question)
    assert {len(entry["text"]) for entry in entries} == {1_000 + len(" […]")}


@pytest.mark.parametrize(("room", "carried"), [(1_200, None), (8_000, Capabilities(max_message_chars=8_000))])
def test_a_summary_that_leaves_no_room_for_a_turn_is_shown_in_part(room: int, carried: Capabilities | None) -> None:
    """Else its chat could never be summarised again."""
    found = reach([a_turn("question", "answer")], room, carried, recap="s" * MOST_SUMMARY_BYTES)
    summary, *said = record(found.question)
    assert summary["text"].endswith("s […]")
    assert [entry["text"] for entry in said] == ["question", "answer"]
    assert tokens(found.question) <= room


def test_a_turn_gives_way_before_the_summary_does() -> None:
    found = reach([a_turn("u" * 4_000, "a" * 4_000)], room=1_500, recap="s" * 1_000)
    summary, asked, _ = record(found.question)
    assert summary["text"] == "s" * 1_000
    assert asked["text"].endswith("u […]")


def test_a_provider_that_carries_short_messages_is_asked_about_less() -> None:
    turns = [a_turn("u" * 1_800, "a" * 1_800, 2 * number) for number in range(1, 5)]
    assert len(reach(turns, carried=Capabilities(max_message_chars=8_000)).turns) == 1


def test_a_model_with_no_room_for_one_turn_is_not_asked() -> None:
    with pytest.raises(NoRoom):
        reach([a_turn("u" * 4_000, "a" * 4_000)], room=400)
