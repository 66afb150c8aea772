"""The Messages API as far as our calls touch it: answers, their streams, and a replier that refuses what it refuses.

An answer is a whole message as the API returns it unstreamed; `frames` tells the same message as a stream.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from tests.harness.upstream import Exchange, Reply
from tests.upstreams.anthropic_rules import Refused, check

Json = dict[str, Any]

KEY: Final = "sk-ant-test"
_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_PIECE: Final = 6


def text(said: str, *citations: Json) -> Json:
    return {"type": "text", "text": said, "citations": list(citations) or None}


def thinking(thought: str) -> Json:
    return {"type": "thinking", "thinking": thought, "signature": "EqQBCgIYAhIM1gbcDa9GJwZA2b3h"}


def search(id_: str, query: str) -> Json:
    return {"type": "server_tool_use", "id": id_, "name": "web_search", "input": {"query": query}}


def found(id_: str, *urls: str) -> Json:
    results = [
        {"type": "web_search_result", "url": url, "title": url, "encrypted_content": "EqgfCioIARgB", "page_age": None}
        for url in urls
    ]
    return {"type": "web_search_tool_result", "tool_use_id": id_, "content": results}


def not_found(id_: str, error_code: str) -> Json:
    error = {"type": "web_search_tool_result_error", "error_code": error_code}
    return {"type": "web_search_tool_result", "tool_use_id": id_, "content": error}


def cited(url: str, title: str | None, snippet: str) -> Json:
    return {
        "type": "web_search_result_location",
        "url": url,
        "title": title,
        "encrypted_index": "Eo8BCioIAhgB",
        "cited_text": snippet,
    }


def call(id_: str, name: str, arguments: Json) -> Json:
    return {"type": "tool_use", "id": id_, "name": name, "input": arguments}


def message(*blocks: Json, stop_reason: str = "end_turn", **usage: Any) -> Json:
    return {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "model": "claude-test-20260101",
        "content": list(blocks),
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {"input_tokens": 4, "output_tokens": 3, **usage},
    }


def frame(event: Json) -> bytes:
    name: str = event["type"]
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(event) + b"\n\n"


def begin(answer: Json) -> bytes:
    """Its usage tells what was read; one token counts as written before the first."""
    usage = {**answer["usage"], "output_tokens": 1}
    usage.pop("output_tokens_details", None)
    return frame({"type": "message_start", "message": {**answer, "content": [], "stop_reason": None, "usage": usage}})


def ping() -> bytes:
    return frame({"type": "ping"})


def said(piece: str, index: int = 0) -> bytes:
    return _delta(index, "text_delta", text=piece)


def opened(block: Json, index: int = 0) -> bytes:
    return frame({"type": "content_block_start", "index": index, "content_block": block})


def closed(index: int = 0) -> bytes:
    return frame({"type": "content_block_stop", "index": index})


def ended(answer: Json) -> bytes:
    delta = {"stop_reason": answer["stop_reason"], "stop_sequence": answer["stop_sequence"]}
    return frame({"type": "message_delta", "delta": delta, "usage": answer["usage"]})


def stopped() -> bytes:
    return frame({"type": "message_stop"})


def failed(type_: str, words: str = "Overloaded") -> bytes:
    return frame({"type": "error", "error": {"type": type_, "message": words}})


def frames(answer: Json) -> Iterator[bytes]:
    yield begin(answer)
    yield ping()
    for index, block in enumerate(answer["content"]):
        yield opened(_empty(block), index)
        yield from _deltas(index, block)
        yield closed(index)
    yield ended(answer)
    yield stopped()


def stream(answer: Json) -> Reply:
    return Reply(headers=_headers("text/event-stream; charset=utf-8"), steps=list(frames(answer)))


def refusal(status: int, words: str = "No.", headers: Mapping[str, str] | None = None) -> Reply:
    body = {"type": "error", "error": {"type": _TYPES[status], "message": words}, "request_id": "req_011CSHoEeqs5C35K"}
    return Reply(
        status=status, headers=_headers("application/json") | dict(headers or {}), steps=[msgspec.json.encode(body)]
    )


class MessagesApi:
    """Answers `Upstream.answer_with`: `answer`, streamed or not, to whoever asks as the API wants to be asked."""

    def __init__(self, *blocks: Json, **how: Any) -> None:
        self.answer = message(*(blocks or (text("Hello there."),)), **how)

    def __call__(self, exchange: Exchange) -> Reply:
        try:
            wanted = check(exchange, KEY)
        except Refused as refused:
            return refusal(refused.status, str(refused))
        if wanted.get("stream"):
            return stream(self.answer)
        return Reply(headers=_headers("application/json"), steps=[msgspec.json.encode(self.answer)])


def _headers(content_type: str) -> dict[str, str]:
    return {"Content-Type": content_type, "request-id": "req_011CSHoEeqs5C35K"}


def _empty(block: Json) -> Json:
    """A block as its start shows it: what comes in pieces is still missing."""
    blank: Json = {"text": "", "thinking": "", "signature": "", "citations": []}
    if block["type"] in {"tool_use", "server_tool_use"}:
        blank["input"] = {}
    return {name: blank.get(name, value) for name, value in block.items()}


def _deltas(index: int, block: Json) -> Iterator[bytes]:
    for citation in block.get("citations") or ():
        yield _delta(index, "citations_delta", citation=citation)
    for piece in _pieces(block.get("text", "")):
        yield said(piece, index)
    for piece in _pieces(block.get("thinking", "")):
        yield _delta(index, "thinking_delta", thinking=piece)
    if "signature" in block:
        yield _delta(index, "signature_delta", signature=block["signature"])
    if "input" in block:
        for piece in ("", *_pieces(msgspec.json.encode(block["input"]).decode())):
            yield _delta(index, "input_json_delta", partial_json=piece)


def _delta(index: int, type_: str, **members: Any) -> bytes:
    return frame({"type": "content_block_delta", "index": index, "delta": {"type": type_, **members}})


def _pieces(whole: str) -> Iterator[str]:
    return (whole[at : at + _PIECE] for at in range(0, len(whole), _PIECE))
