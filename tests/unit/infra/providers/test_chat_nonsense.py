"""Whatever a remote puts where, nothing raises, nothing is empty, and one terminal comes last."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from domain.providers.events import Completed, Failed, FunctionCall, ReasoningDelta, TextDelta, ToolDone, ToolStart
from infra.providers.adapters.openai_chat.translator import ChatTranslator
from infra.providers.anomalies import Anomalies
from infra.providers.settings import ThinkTags
from tests.harness.wire_shapes import cut, events_of

NONSENSE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats()
    | st.text("a<think>/\ud83d\0ü", max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "code", "index"]), inner),
    max_leaves=6,
)


def maybe(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Each member as it should be, or nonsense, or absent."""
    return st.fixed_dictionaries({}, optional={name: value | NONSENSE for name, value in members.items()})


FUNCTION = maybe(name=st.sampled_from(["weather", "nobody"]), arguments=st.sampled_from(["{", '"a"', "}"]))
CALL = maybe(index=st.integers(0, 2), id=st.sampled_from(["a", "b", ""]), function=FUNCTION)
TEXT = st.sampled_from(["a", "<think>", "</think>", "<", ""])
DELTA = maybe(content=TEXT, reasoning_content=TEXT, reasoning=TEXT, refusal=TEXT, tool_calls=st.lists(CALL, max_size=2))
REASON = st.sampled_from(["stop", "length", "tool_calls", "content_filter", "abort", "because", ""])
CHOICE = maybe(index=st.just(0), delta=DELTA, finish_reason=REASON)
USAGE = maybe(prompt_tokens=st.integers(0, 9), completion_tokens=st.integers(0, 9), prompt_tokens_details=NONSENSE)
ERROR = maybe(code=st.sampled_from([429, "500", "content_filter"]), type=NONSENSE, message=NONSENSE)
CHUNK = maybe(id=st.just("x"), model=st.just("y"), choices=st.lists(CHOICE, max_size=2), usage=USAGE)
FRAME = st.one_of(
    CHUNK.map(lambda chunk: b"data: " + json.dumps(chunk).encode()),
    maybe(error=ERROR, object=st.just("error")).map(lambda error: b"data: " + json.dumps(error).encode()),
    NONSENSE.map(lambda value: b"event: error\ndata: " + json.dumps(value).encode()),
    st.sampled_from([b"data: [DONE]", b": ping", b"data: {oops", b"data: \xff", b""]),
)


@given(st.lists(FRAME, max_size=6), st.sampled_from(ThinkTags), st.integers(1, 40))
def test_nonsense_is_survived(frames: list[bytes], think_tags: ThinkTags, size: int) -> None:
    stream = b"".join(frame + b"\n\n" for frame in frames)
    translator = ChatTranslator(think_tags, frozenset({"weather"}), Anomalies())
    *before, terminal = events_of(translator, cut(stream, size))
    assert isinstance(terminal, (Completed, Failed))
    assert not any(isinstance(event, (Completed, Failed)) for event in before)
    texts = [event.text for event in before if isinstance(event, (TextDelta, ReasoningDelta))]
    assert all(texts)
    "".join(texts).encode()
    starts = [event.key for event in before if isinstance(event, ToolStart)]
    assert starts == [event.key for event in before if isinstance(event, ToolDone)]
    assert {event.key for event in before if isinstance(event, FunctionCall)} <= set(starts)
