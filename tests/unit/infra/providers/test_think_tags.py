import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.providers.events import ReasoningDelta
from infra.providers.adapters.openai_chat.think_tags import ThinkSplitter
from infra.providers.settings import ThinkTags

CASES = [
    (ThinkTags.OFF, "<think>a</think>b", "<think>a</think>b", ""),
    (ThinkTags.LEADING, "<think>a</think>b", "b", "a"),
    (ThinkTags.LEADING, "<think>a</think>\n\n\nb", "\nb", "a"),
    (ThinkTags.LEADING, " \n<think>a</think>b", " \nb", "a"),
    (ThinkTags.LEADING, "use <think>a</think>", "use <think>a</think>", ""),
    (ThinkTags.LEADING, "<think>a</think>b<think>c</think>", "b<think>c</think>", "a"),
    (ThinkTags.LEADING, "<think>never closed </thin", "", "never closed </thin"),
    (ThinkTags.LEADING, "<thinking> is good", "<thinking> is good", ""),
    (ThinkTags.LEADING, "<thi", "<thi", ""),
    (ThinkTags.PREOPENED, "a</think>\nb", "b", "a"),
    (ThinkTags.PREOPENED, "a</think>b</think>", "b</think>", "a"),
    (ThinkTags.PREOPENED, "all of it", "", "all of it"),
    (ThinkTags.ANYWHERE, "x<think>a</think>y<think>b</think>z", "xyz", "ab"),
    (ThinkTags.ANYWHERE, "x</think>y", "x</think>y", ""),
    (ThinkTags.ANYWHERE, "x<<think>a<</think>y", "x<y", "a<"),
]


def split(mode: ThinkTags, chunks: list[str]) -> tuple[str, str]:
    splitter = ThinkSplitter(mode)
    pieces = [piece for chunk in chunks for piece in splitter.feed(chunk)] + splitter.flush()
    assert all(piece.text for piece in pieces)
    said = "".join(piece.text for piece in pieces if not isinstance(piece, ReasoningDelta))
    return said, "".join(piece.text for piece in pieces if isinstance(piece, ReasoningDelta))


@pytest.mark.parametrize(("mode", "stream", "said", "thought"), CASES)
def test_reasoning_is_told_from_the_answer(mode: ThinkTags, stream: str, said: str, thought: str) -> None:
    assert split(mode, [stream]) == (said, thought)


@pytest.mark.parametrize(("mode", "stream", "said", "thought"), CASES)
def test_single_characters_give_the_same(mode: ThinkTags, stream: str, said: str, thought: str) -> None:
    assert split(mode, list(stream)) == (said, thought)


@given(
    st.sampled_from(ThinkTags),
    st.lists(st.sampled_from(["<think>", "</think>", "<", "thin", "k>", "a ", "\n", "/", "<th"]), max_size=10),
    st.lists(st.integers(0, 60), max_size=5),
)
def test_any_chunking_gives_the_same(mode: ThinkTags, parts: list[str], cuts: list[int]) -> None:
    stream = "".join(parts)
    places = sorted({cut % (len(stream) + 1) for cut in cuts})
    chunks = [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]
    assert split(mode, chunks) == split(mode, [stream])


@given(st.text("<think>/ a", max_size=40))
def test_less_than_a_tag_is_held_back(stream: str) -> None:
    splitter = ThinkSplitter(ThinkTags.ANYWHERE)
    splitter.feed(stream)
    assert len(splitter._held) < len("</think>")


def test_tags_without_end_in_one_delta_take_no_time() -> None:
    began = time.process_time()
    assert split(ThinkTags.ANYWHERE, ["<think></think>" * 120_000]) == ("", "")
    assert time.process_time() - began < 1.5
