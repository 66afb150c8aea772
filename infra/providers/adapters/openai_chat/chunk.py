"""The members of a chat completion chunk that we read. Missing, null and mistyped ones are all just absent."""

import msgspec

from infra.providers.anomalies import Anomalies
from infra.providers.frame_json import repaired_json
from infra.providers.members import text


class Delta(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[object] | None = None


class Choice(msgspec.Struct, gc=False):
    index: int = 0
    delta: Delta | None = None
    finish_reason: str | None = None


class Chunk(msgspec.Struct, gc=False):
    id: str | None = None
    model: str | None = None
    choices: list[Choice] | None = None
    usage: dict[str, object] | None = None
    error: object = None


_DECODER = msgspec.json.Decoder(Chunk)


def read_chunk(data: bytes, anomalies: Anomalies) -> Chunk | None:
    """None for JSON that is no object; raises Undecodable for what is no JSON."""
    try:
        return _DECODER.decode(data)
    except (ValueError, RecursionError):
        value = repaired_json(data, anomalies)
    if not isinstance(value, dict):
        return None
    choices, usage = value.get("choices"), value.get("usage")
    return Chunk(
        id=text(value.get("id")),
        model=text(value.get("model")),
        choices=[_choice(item) for item in choices if isinstance(item, dict)] if isinstance(choices, list) else None,
        usage=usage if isinstance(usage, dict) else None,
        error=value.get("error"),
    )


def _choice(members: dict[str, object]) -> Choice:
    index, delta = members.get("index"), members.get("delta")
    return Choice(
        index=int(index) if isinstance(index, (int, float)) else 0,
        delta=_delta(delta) if isinstance(delta, dict) else None,
        finish_reason=text(members.get("finish_reason")),
    )


def _delta(members: dict[str, object]) -> Delta:
    calls = members.get("tool_calls")
    return Delta(
        content=_content(members.get("content")),
        reasoning_content=text(members.get("reasoning_content")),
        reasoning=text(members.get("reasoning")),
        refusal=text(members.get("refusal")),
        tool_calls=calls if isinstance(calls, list) else None,
    )


def _content(value: object) -> str | None:
    """Some servers send a list of parts instead of a string."""
    if not isinstance(value, list):
        return text(value)
    return "".join(text(part.get("text")) or "" for part in value if isinstance(part, dict))
