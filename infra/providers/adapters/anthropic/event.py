"""The members of a Messages stream event that we read. Missing, null and mistyped ones are all just absent."""

import msgspec

from infra.providers.anomalies import Anomalies
from infra.providers.frame_json import repaired_json
from infra.providers.members import text


class Message(msgspec.Struct, gc=False):
    id: str | None = None
    model: str | None = None
    usage: dict[str, object] | None = None


class Block(msgspec.Struct, gc=False):
    """`content` of a result lists what was found, or is the error that came instead."""

    type: str | None = None
    id: str | None = None
    name: str | None = None
    tool_use_id: str | None = None
    text: str | None = None
    thinking: str | None = None
    input: dict[str, object] | None = None
    content: object = None


class Delta(msgspec.Struct, gc=False):
    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    citation: dict[str, object] | None = None
    stop_reason: str | None = None


class Event(msgspec.Struct, gc=False):
    """Without an index a block follows the other, so all of them share one."""

    type: str | None = None
    index: int = 0
    message: Message | None = None
    content_block: Block | None = None
    delta: Delta | None = None
    usage: dict[str, object] | None = None
    error: object = None


_DECODER = msgspec.json.Decoder(Event)


def read_event(data: bytes, anomalies: Anomalies) -> Event | None:
    """None for JSON that is no object; raises Undecodable for what is no JSON."""
    try:
        return _DECODER.decode(data)
    except (ValueError, RecursionError):
        value = repaired_json(data, anomalies)
    if not isinstance(value, dict):
        return None
    index = value.get("index")
    return Event(
        type=text(value.get("type")),
        index=int(index) if isinstance(index, (int, float)) else 0,
        message=_message(value.get("message")),
        content_block=_block(value.get("content_block")),
        delta=_delta(value.get("delta")),
        usage=_members(value.get("usage")),
        error=value.get("error"),
    )


def _message(value: object) -> Message | None:
    if not isinstance(value, dict):
        return None
    return Message(id=text(value.get("id")), model=text(value.get("model")), usage=_members(value.get("usage")))


def _block(value: object) -> Block | None:
    if not isinstance(value, dict):
        return None
    return Block(
        type=text(value.get("type")),
        id=text(value.get("id")),
        name=text(value.get("name")),
        tool_use_id=text(value.get("tool_use_id")),
        text=text(value.get("text")),
        thinking=text(value.get("thinking")),
        input=_members(value.get("input")),
        content=value.get("content"),
    )


def _delta(value: object) -> Delta | None:
    if not isinstance(value, dict):
        return None
    return Delta(
        type=text(value.get("type")),
        text=text(value.get("text")),
        thinking=text(value.get("thinking")),
        partial_json=text(value.get("partial_json")),
        citation=_members(value.get("citation")),
        stop_reason=text(value.get("stop_reason")),
    )


def _members(value: object) -> dict[str, object] | None:
    return value if isinstance(value, dict) else None
