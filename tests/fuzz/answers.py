"""What the adapters make of broken answers of model servers, and what each of them promises whatever it is sent."""

from collections.abc import Callable
from random import Random
from typing import Any, Final

import msgspec

from domain.providers.events import (
    CitationFound,
    Completed,
    Failed,
    FunctionCall,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    ToolDone,
    ToolName,
    ToolStart,
    Usage,
    UsageReport,
)
from domain.providers.request import CitedFile, CodeInterpreter, FileSearch, Function, ProviderRequest, WebSearch
from infra.providers.anomalies import Anomalies
from infra.providers.call_headers import CallHeaders
from infra.providers.registry import ADAPTERS
from infra.providers.settings import ProviderKind, ProviderSettings, ThinkTags
from tests.fuzz.streams import CITED_FILE, FUNCTION, broken, recorded
from tests.harness.provider_calls import request_for
from tests.harness.wire_shapes import cut, events_of

_REQUEST: Final[ProviderRequest] = request_for(
    "model",
    tools=(
        WebSearch(context_size="low", max_uses=3),
        FileSearch(store_id="vs", max_num_results=3),
        CodeInterpreter(),
        Function(name=FUNCTION, description="", schema={"type": "object"}),
    ),
    citation_index={CITED_FILE: CitedFile(attachment_id="a", title="Tides.pdf")},
)
_DONE_MEMBERS: Final = {
    ToolName.WEB_SEARCH: set[str](),
    ToolName.FILE_SEARCH: {"files_searched"},
    ToolName.CODE_INTERPRETER: {"output"},
    ToolName.FUNCTION_CALL: {"call_id", "name", "arguments"},
}
_MOST_TOKENS: Final = 10_000_000


def answer_case(kind: ProviderKind) -> Callable[[Random], tuple[str, Callable[[], bool]]]:
    def case(random: Random) -> tuple[str, Callable[[], bool]]:
        stream = broken(random, random.choice(recorded(kind)))
        size, tags = random.choice((64, 1_000, len(stream))), random.choice(list(ThinkTags))
        return stream.decode("latin-1"), lambda: _read(kind, tags, cut(stream, size))

    return case


def _read(kind: ProviderKind, tags: ThinkTags, chunks: list[bytes]) -> bool:
    """Whether the answer came to its end."""
    settings = ProviderSettings(kind=kind, base_url="https://example.org", think_tags=tags)
    adapter = ADAPTERS[kind](settings, CallHeaders(settings, None, {}, "mini-chat/fuzz"))
    events = events_of(adapter.translator(_REQUEST, Anomalies()), chunks)
    assert [event for event in events if isinstance(event, (Completed, Failed))] == events[-1:]
    length = sum(len(event.text) for event in events if isinstance(event, TextDelta))
    for event in events:
        _check(event, length)
    return isinstance(events[-1], Completed)


def _check(event: ProviderEvent, length: int) -> None:
    """Whatever may be shown or stored can be, which leaves out the keys of calls; and every number is one of ours."""
    members = msgspec.structs.asdict(event)
    members.pop("key", None)
    _check_texts(msgspec.to_builtins(members))
    match event:
        case TextDelta(text) | ReasoningDelta(text):
            assert text
        case ToolStart(_, name, details):
            assert set(details) == ({"index", "call_id", "name"} if name is ToolName.FUNCTION_CALL else set())
        case ToolDone(_, name, details):
            assert set(details) == _DONE_MEMBERS[name]
        case FunctionCall():
            assert event.name == FUNCTION
        case CitationFound(citation):
            assert citation.span is None or 0 <= citation.span.start < citation.span.end <= length
        case UsageReport() | Completed() | Failed():
            _check_usage(event.usage)


def _check_texts(value: Any) -> None:
    """Neither the database nor UTF-8 takes all that Python takes for text."""
    if isinstance(value, str):
        assert "\0" not in value
        value.encode()
    for inner in [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_texts(inner)


def _check_usage(usage: Usage | None) -> None:
    for count in () if usage is None else msgspec.structs.astuple(usage):
        assert count is None or (type(count) is int and 0 <= count <= _MOST_TOKENS)
