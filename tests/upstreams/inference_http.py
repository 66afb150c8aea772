"""A self-hosted model server that streams tokens: its frames, and a replier that refuses what such a server refuses."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from tests.harness.upstream import Exchange, Reply, Step, frame, refusal

KEY: Final = "internal-key"
MAX_MESSAGES: Final = 500
MAX_MESSAGE_CHARS: Final = 8_000
MAX_TOTAL_CHARS: Final = 32_000
_RANGES: Final = {"temperature": (0.0, 2.0), "top_k": (0, 200), "max_tokens": (1, 4_096)}
_MEMBERS: Final = {"messages", "force_web_search", *_RANGES}


def token(text: str) -> bytes:
    return frame({"token": text})


def done() -> bytes:
    return frame({"done": True})


def failed(error: object) -> bytes:
    return frame({"error": error})


def called(call: object) -> bytes:
    """A call of a tool, in one token."""
    return token(f"<|python_start|>{_json(call)}<|python_end|>")


def answered(result: object) -> bytes:
    """What the tool said, in one token."""
    return token(f"<|output_start|>{_json(result)}<|output_end|>")


class InferenceServer:
    """Answers `Upstream.answer_with`: `tokens` and `done` to whoever asks as it is documented.

    `status` lets it refuse all alike, as 503 does while it drains or loads another model.
    """

    def __init__(self, *tokens: Step, status: int = 200) -> None:
        self.tokens: Sequence[Step] = tokens or [token("Hello "), token("there")]
        self.status = status

    def __call__(self, exchange: Exchange) -> Reply:
        if self.status != 200:
            return refusal(self.status, {"detail": "No model is loaded."})
        if exchange.headers.get("x-internal-api-key") != KEY:
            return refusal(401, {"detail": "Unknown key."})
        fault = fault_of(exchange.body)
        return refusal(400, {"detail": fault}) if fault else Reply(steps=[*self.tokens, done()])


def fault_of(body: bytes) -> str | None:
    """Why the server would not take this request."""
    try:
        read: Any = msgspec.json.decode(body)
        messages, unknown = read["messages"], set(read) - _MEMBERS
        contents = [message["content"] for message in messages]
        roles = {message["role"] for message in messages}
        out_of_range = [name for name, (low, high) in _RANGES.items() if name in read and not low <= read[name] <= high]
        lengths = [len(content) for content in contents]
    except (ValueError, TypeError, KeyError) as broken:
        return f"Not a request: {broken}"
    if unknown or out_of_range:
        return f"Not known or out of range: {sorted(unknown)} {out_of_range}"
    if not 1 <= len(messages) <= MAX_MESSAGES or not roles <= {"user", "assistant"}:
        return "Too many messages, none, or of a role nobody knows."
    if messages[-1]["role"] != "user" or not all(lengths):
        return "The last message must be the user's, and none may be empty."
    if max(lengths) > MAX_MESSAGE_CHARS or sum(lengths) > MAX_TOTAL_CHARS:
        return "A message, or all of them together, is too long."
    return None


def _json(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
