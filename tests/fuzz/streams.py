"""Answers of model servers as each format streams them, and what a bad server or network makes of them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final, TypeAlias

from infra.providers.settings import ProviderKind
from tests.upstreams import anthropic
from tests.upstreams.inference_http import answered, called, done, token
from tests.upstreams.openai_responses import Answering, file_citation, url_citation

Frames: TypeAlias = list[bytes]

CITED_FILE: Final = "file-1"
FUNCTION: Final = "get_weather"
PAGE: Final = "https://example.org/tides"
_GOLDEN: Final = Path(__file__).parents[1] / "golden" / "openai_chat"
_STRANGE: Final[Sequence[Any]] = (
    None, True, False, 0, 1, -1, 1.5, -0.0, 10**18, 10**400, "", "x", "\0", "a\0b", "\ud83d", "\ude00", "\u202e",
    "x" * 5_000, [], {}, [[]], [1, None, "x", {}], {"a": 1}, {"": None}, {"type": "text"},
    {"type": "text_delta", "text": "\0"},
    [{"type": "text", "text": "\ud800"}], "error", "stop", "tool_use", "message_stop", "content_block_delta",
    "response.completed", "[DONE]", "503", FUNCTION, CITED_FILE, "http://127.0.0.1", "javascript:alert(1)",
    "https://example.org/\ud800", "</b><script>", "<think>", "<|python_start|>",
)  # fmt: skip
_NAMES: Final = ("event: error", "event: x", "event: ping", "event: message_stop", "event: response.completed")


def recorded(kind: ProviderKind) -> list[Frames]:
    """Whole answers, with everything in them that the format knows."""
    return [list(frames) for frames in _RECORDED[kind]]


def broken(random: Random, frames: Sequence[bytes]) -> bytes:
    """The same with frames changed, lost, doubled or swapped."""
    frames = list(frames)
    for _ in range(random.choice((1, 1, 2, 4))):
        at, other = random.randrange(len(frames)), random.randrange(len(frames))
        match random.choices(("change", "lose", "double", "swap"), weights=(7, 1, 1, 1))[0]:
            case "change":
                frames[at] = _changed(random, frames[at])
            case "lose" if len(frames) > 1:
                del frames[at]
            case "double":
                frames.insert(other, frames[at])
            case _:
                frames[at], frames[other] = frames[other], frames[at]
    return b"".join(frames)


def _changed(random: Random, frame: bytes) -> bytes:
    lines = frame.decode().rstrip("\n").split("\n")
    for number, line in enumerate(lines):
        if line.startswith("event: ") and random.random() < 1 / 5:
            lines[number] = random.choice(_NAMES)
        if line.startswith("data: {"):
            lines[number] = "data: " + json.dumps(_strange(random, json.loads(line[6:])))
    return ("\n".join(lines) + "\n\n").encode()


def _strange(random: Random, value: Any) -> Any:
    """With one to three members or items left out or replaced."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        place = random.choice(list(_places(value)))
        value = (
            _without(value, place)
            if place and random.random() < 1 / 5
            else _with(value, place, random.choice(_STRANGE))
        )
    return value


def _places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield above
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from _places(item, (*above, key))


def _with(value: Any, place: tuple[Any, ...], strange: Any) -> Any:
    if not place:
        return strange
    copy = value.copy()
    copy[place[0]] = _with(copy[place[0]], place[1:], strange)
    return copy


def _without(value: Any, place: tuple[Any, ...]) -> Any:
    copy = value.copy()
    if len(place) == 1:
        del copy[place[0]]
    else:
        copy[place[0]] = _without(copy[place[0]], place[1:])
    return copy


def _messages() -> Iterator[Frames]:
    blocks = (
        anthropic.thinking("hm 😀"),
        anthropic.search("srvtoolu_1", "tides"),
        anthropic.found("srvtoolu_1", PAGE),
        anthropic.text("At 😀 14:05", anthropic.cited(PAGE, "Tides", "High water")),
        anthropic.call("toolu_1", FUNCTION, {"place": ["Kiel"]}),
    )
    yield list(anthropic.frames(anthropic.message(*blocks, stop_reason="tool_use")))
    whole = list(anthropic.frames(anthropic.message(anthropic.text("abc"))))
    yield [*whole[:5], anthropic.failed("overloaded_error")]


def _responses() -> Iterator[Frames]:
    says = Answering()
    citations = [url_citation(PAGE, "Tides", 0, 3), file_citation(CITED_FILE, 2)]
    yield [
        says.begin(),
        *says.think("hm ", "😀"),
        *says.search_web("tides"),
        *says.search_files("tides"),
        *says.interpret("1 + 1", "2"),
        *says.call(FUNCTION, '{"place"', ':"Kiel"}'),
        *says.say("At ", "😀 14:05", annotations=citations),
        says.complete(),
    ]
    fails = Answering()
    yield [fails.begin(), *fails.say("abc"), fails.fail("server_error")]
    breaks = Answering()
    yield [breaks.begin(), *breaks.say("abc"), breaks.error("rate_limit_exceeded")]


def _chat() -> Iterator[Frames]:
    for file in sorted(_GOLDEN.iterdir()):
        whole = [frame + b"\n\n" for frame in file.read_bytes().split(b"\n\n") if frame]
        yield whole
        yield [*whole[:3], b'data: {"error": {"code": 503, "message": "x"}}\n\n']


def _tokens() -> Iterator[Frames]:
    yield [
        token("At "),
        called({"name": "web_search", "arguments": {"query": "tides"}}),
        answered({"results": [{"url": PAGE, "title": "Tides", "snippet": "High water"}]}),
        token("😀 14:05"),
        called({"name": "sum", "arguments": [1, 2]}),
        answered("3"),
        done(),
    ]


_RECORDED: Final[Mapping[ProviderKind, Sequence[Frames]]] = {
    ProviderKind.OPENAI_CHAT: list(_chat()),
    ProviderKind.OPENAI_RESPONSES: list(_responses()),
    ProviderKind.ANTHROPIC: list(_messages()),
    ProviderKind.INFERENCE_HTTP: list(_tokens()),
}
