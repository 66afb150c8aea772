"""A chat completions API: a server that reads each request and refuses what the public one would refuse.

    upstream.answer_with(ChatServer("Hello", " there"))
    upstream.answer_with(ChatServer(calls=[Called("get_weather", '{"city":', '"Paris"}')]))

It streams or answers in one piece, as it is asked; functions are called only by whoever offers them.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from tests.harness.upstream import DONE, Exchange, Reply, Step, frame, refusal

KEY: Final = "sk-of-the-tests"
MODEL: Final = "gpt-test"
WINDOW_TOKENS: Final = 1_000
PROMPT_TOKENS: Final = 12
CACHED_TOKENS: Final = 8
PATH: Final = "/v1/chat/completions"


class Text(msgspec.Struct, tag="text", forbid_unknown_fields=True):
    text: str


class Address(msgspec.Struct, forbid_unknown_fields=True):
    url: str
    detail: Literal["auto", "low", "high"] = "auto"


class Image(msgspec.Struct, tag="image_url", forbid_unknown_fields=True):
    image_url: Address


class AskedCall(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    type: Literal["function"]
    function: dict[Literal["name", "arguments"], str]


class Message(msgspec.Struct, tag_field="role", forbid_unknown_fields=True):
    content: str | Annotated[list[Text | Image], Meta(min_length=1)]


class System(Message, tag="system"):
    pass


class Developer(Message, tag="developer"):
    pass


class User(Message, tag="user"):
    pass


class Assistant(msgspec.Struct, tag_field="role", tag="assistant", forbid_unknown_fields=True):
    content: str | None = None
    tool_calls: list[AskedCall] | None = None


class Tool(Message, tag="tool"):
    tool_call_id: str


class Schema(msgspec.Struct):
    type: Literal["object"]


class OfferedFunction(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    description: str = ""
    parameters: Schema | None = None
    strict: bool = False


class OfferedTool(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["function"]
    function: OfferedFunction


class StreamOptions(msgspec.Struct, forbid_unknown_fields=True):
    include_usage: bool = False


Ratio: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Penalty: TypeAlias = Annotated[float, Meta(ge=-2, le=2)]
Pseudonym: TypeAlias = Annotated[str, Meta(max_length=64)]


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """What a request may say, of all that the public API knows as much as we could come to send."""

    model: str
    messages: Annotated[list[System | Developer | User | Assistant | Tool], Meta(min_length=1)]
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Ratio | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    stop: str | Annotated[list[str], Meta(max_length=4)] | None = None
    seed: int | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high"] | None = None
    tools: Annotated[list[OfferedTool], Meta(min_length=1, max_length=128)] | None = None
    user: Pseudonym | None = None
    safety_identifier: Pseudonym | None = None
    service_tier: Literal["auto", "default", "flex", "priority"] | None = None


class Called(msgspec.Struct, frozen=True):
    """A call that the model makes; its arguments come in these pieces."""

    name: str
    arguments: Sequence[str]


class ChatServer:
    """Answers `Upstream.answer_with`. `breaks_with` ends a stream with this error after what was said."""

    def __init__(
        self,
        *said: str,
        calls: Sequence[Called] = (),
        finish: str = "stop",
        reasoning_tokens: int = 0,
        breaks_with: dict[str, object] | None = None,
    ) -> None:
        self.said = said
        self.calls = calls
        self.finish = finish
        self.reasoning_tokens = reasoning_tokens
        self.breaks_with = breaks_with

    def __call__(self, exchange: Exchange) -> Reply:
        if urlsplit(exchange.target).path != PATH:
            return error(404, "There is nothing at this address.")
        if exchange.headers.get("authorization") != f"Bearer {KEY}":
            return error(401, "The key is missing or wrong.", code="invalid_api_key")
        try:
            asked = msgspec.json.decode(exchange.body, type=Asked)
        except msgspec.ValidationError as fault:
            return error(400, str(fault), param=_param(fault))
        except msgspec.DecodeError:
            return error(400, "The body is no JSON.")
        return _refused(asked) or self._answered(asked)

    def _answered(self, asked: Asked) -> Reply:
        answer = _Answer(self, asked)
        if asked.stream:
            return Reply(steps=list(answer.chunks()))
        return Reply(headers={"Content-Type": "application/json"}, steps=[msgspec.json.encode(answer.whole())])


def error(status: int, message: str, *, code: str | None = None, param: str | None = None, **headers: str) -> Reply:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return refusal(status, {"error": {"message": message, "type": kind, "param": param, "code": code}}, **headers)


def throttled(**headers: str) -> Reply:
    members = {"message": "Too many requests.", "type": "requests", "param": None, "code": "rate_limit_exceeded"}
    return refusal(429, {"error": members}, **headers)


def _refused(asked: Asked) -> Reply | None:
    if asked.model != MODEL:
        return error(404, "There is no such model.", code="model_not_found")
    if asked.stream_options is not None and not asked.stream:
        return error(400, "Only streams have options.", param="stream_options")
    if sum(map(_tokens, asked.messages)) > WINDOW_TOKENS:
        sentence = f"This model's maximum context length is {WINDOW_TOKENS} tokens."  # some clients know it by this
        return error(400, sentence, code="context_length_exceeded", param="messages")
    return None


def _tokens(message: Message | Assistant) -> int:
    return len(message.content.split()) if isinstance(message.content, str) else 0


def _param(fault: msgspec.ValidationError) -> str | None:
    """The member that the decoder names, as `$.tools[0].function`."""
    return str(fault).partition("`$.")[2].rstrip("`") or None


class _Answer:
    """What the server says to one request, as a whole and in chunks. A token is a piece."""

    def __init__(self, server: ChatServer, asked: Asked) -> None:
        offered = {tool.function.name for tool in asked.tools or ()}
        self._server = server
        self._asked = asked
        self._calls = [call for call in server.calls if call.name in offered]
        self._said = server.said[: asked.max_completion_tokens]
        cut = len(self._said) < len(server.said)
        self._finish = "length" if cut else "tool_calls" if self._calls else server.finish

    def whole(self) -> dict[str, object]:
        calls = [_call(number, call, "".join(call.arguments)) for number, call in enumerate(self._calls)]
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self._said) or None, "refusal": None}
        if calls:
            message["tool_calls"] = calls
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._finish}
        return {**self._head("chat.completion"), "choices": [choice], "usage": self._usage()}

    def chunks(self) -> Iterator[Step]:
        yield self._chunk({"role": "assistant", "content": "", "refusal": None})
        for piece in self._said:
            yield self._chunk({"content": piece})
        for number, call in enumerate(self._calls):
            yield self._chunk({"tool_calls": [{"index": number, **_call(number, call, "")}]})
            for piece in call.arguments:
                yield self._chunk({"tool_calls": [{"index": number, "function": {"arguments": piece}}]})
        if self._server.breaks_with is not None:
            yield frame({"error": self._server.breaks_with})
            return
        yield self._chunk({}, self._finish)
        if self._counts:
            yield frame({**self._head("chat.completion.chunk"), "choices": [], "usage": self._usage()})
        yield DONE

    @property
    def _counts(self) -> bool:
        return self._asked.stream_options is not None and self._asked.stream_options.include_usage

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        uncounted = {"usage": None} if self._counts else {}
        return frame({**self._head("chat.completion.chunk"), "choices": [choice], **uncounted})

    def _head(self, kind: str) -> dict[str, object]:
        return {
            "id": "chatcmpl-test1",
            "object": kind,
            "created": 1_763_675_000,
            "model": f"{MODEL}-2026-01-01",
            "service_tier": "default",
            "system_fingerprint": "fp_test",
        }

    def _usage(self) -> dict[str, object]:
        spoken = len(self._said) + sum(len(call.arguments) for call in self._calls)
        completion = spoken + self._server.reasoning_tokens
        return {
            "prompt_tokens": PROMPT_TOKENS,
            "completion_tokens": completion,
            "total_tokens": PROMPT_TOKENS + completion,
            "prompt_tokens_details": {"cached_tokens": CACHED_TOKENS, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": self._server.reasoning_tokens, "audio_tokens": 0},
        }


def _call(number: int, call: Called, arguments: str) -> dict[str, object]:
    return {
        "id": f"call_test{number}",
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }
