"""The formats the bench's model server speaks, as the public servers write them, and where each is asked for."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

_CHUNK = (
    b'data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1767225600,"model":"bench",'
    b'"choices":[{"index":0,"delta":%b,"logprobs":null,"finish_reason":%b}]}\n\n'
)
_USAGE = (
    b'data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1767225600,"model":"bench",'
    b'"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":%d,"total_tokens":%d}}\n\n'
)
_EVENT = b'event: response.%b\ndata: {"type":"response.%b","sequence_number":%d,%b}\n\n'
_PLACE = b'"item_id":"msg_68af4030592c81938ec0a5fbab4a3e9f05438e46b5f69a3b","output_index":0,"content_index":0'
_RESPONSE = b'"response":{"id":"resp_bench","object":"response","status":"%b","model":"bench","output":[],"usage":%b}'
_COUNTED = b'{"input_tokens":10,"output_tokens":%d,"total_tokens":%d}'


class Part(msgspec.Struct):
    text: str


class Said(msgspec.Struct):
    content: str | list[Part]

    @property
    def text(self) -> str:
        return self.content if isinstance(self.content, str) else self.content[0].text


class Prompt(msgspec.Struct):
    messages: list[Said] = []
    input: list[Said] = []

    @property
    def last(self) -> str:
        return (self.messages or self.input)[-1].text


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """`delta` is given the text it carries and its number; what `end` gives says how many there were."""

    path: bytes
    begin: Callable[[], bytes]
    delta: Callable[[bytes, int], bytes]
    end: Callable[[int], bytes]


def _chat_delta(text: bytes, _: int) -> bytes:
    return _CHUNK % (b'{"content":"%b"}' % text, b"null")


def _chat_end(deltas: int) -> bytes:
    return _CHUNK % (b"{}", b'"stop"') + _USAGE % (deltas, deltas + 10) + b"data: [DONE]\n\n"


def _event(name: bytes, number: int, members: bytes) -> bytes:
    return _EVENT % (name, name, number, members)


def _responses_delta(text: bytes, number: int) -> bytes:
    members = _PLACE + b',"delta":"%b","logprobs":[],"obfuscation":"Wc7Gh2nPq"' % text
    return _event(b"output_text.delta", number + 1, members)


def _responses_end(deltas: int) -> bytes:
    return _event(b"completed", deltas + 1, _RESPONSE % (b"completed", _COUNTED % (deltas, deltas + 10)))


CHAT_COMPLETIONS: Final = Format(
    path=b"/v1/chat/completions",
    begin=lambda: _CHUNK % (b'{"role":"assistant","content":""}', b"null"),
    delta=_chat_delta,
    end=_chat_end,
)
RESPONSES: Final = Format(
    path=b"/v1/responses",
    begin=lambda: _event(b"created", 0, _RESPONSE % (b"in_progress", b"null")),
    delta=_responses_delta,
    end=_responses_end,
)
BY_KIND: Final[Mapping[str, Format]] = {"openai_chat": CHAT_COMPLETIONS, "openai_responses": RESPONSES}
