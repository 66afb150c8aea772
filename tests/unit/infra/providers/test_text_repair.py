import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.providers.text_repair import TextRepair


def repaired(*deltas: str) -> str:
    repair = TextRepair()
    return "".join([repair.feed(delta) for delta in deltas] + [repair.flush()])


@pytest.mark.parametrize(
    ("deltas", "text"),
    [
        (["plain"], "plain"),
        (["a\0b", "\0"], "ab"),
        (["\ud83d", "\ude00"], "😀"),
        (["x\ud83d", "\ude00y"], "x😀y"),
        (["\ud83d", "y"], "\ufffdy"),
        (["\ud83d"], "\ufffd"),
        (["\ude00x"], "\ufffdx"),
        (["\ud83d\ud83d", "\ude00"], "\ufffd😀"),
        (["é\0", "ü"], "éü"),
    ],
)
def test_halves_are_joined_and_what_cannot_be_stored_is_replaced(deltas: list[str], text: str) -> None:
    assert repaired(*deltas) == text


@given(st.lists(st.text(st.characters(codec=None), max_size=6), max_size=6))
def test_the_result_can_always_be_encoded_and_does_not_depend_on_the_cuts(deltas: list[str]) -> None:
    text = repaired(*deltas)
    text.encode()
    assert "\0" not in text
    assert text == repaired("".join(deltas))
