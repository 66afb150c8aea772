"""One frame of a Responses stream. Missing, null and mistyped members are all just absent."""

from collections.abc import Mapping

import msgspec

from infra.providers.anomalies import Anomalies
from infra.providers.frame_json import repaired_json
from infra.providers.members import mapping, text


class Piece(msgspec.Struct, gc=False):
    """The members of a delta, which nearly every frame is: nothing else of them is decoded."""

    type: str | None = None
    delta: str | None = None
    output_index: int | None = None
    content_index: int | None = None

    @property
    def place(self) -> tuple[int | None, int | None]:
        """The part of the answer it belongs to."""
        return self.output_index, self.content_index


_PIECES = msgspec.json.Decoder(Piece)


def read_piece(data: bytes, anomalies: Anomalies) -> Piece | None:
    """None for JSON that is no object; raises Undecodable for what is no JSON."""
    try:
        return _PIECES.decode(data)
    except (ValueError, RecursionError):
        members = repaired_json(data, anomalies)
    return piece_of(members) if isinstance(members, dict) else None


def piece_of(members: Mapping[str, object]) -> Piece:
    return Piece(
        type=text(members.get("type")),
        delta=text(members.get("delta")),
        output_index=_index(members.get("output_index")),
        content_index=_index(members.get("content_index")),
    )


def read_members(data: bytes, anomalies: Anomalies) -> dict[str, object]:
    """All members of a frame that `read_piece` took for an object; raises Undecodable."""
    try:
        members = msgspec.json.decode(data)
    except (ValueError, RecursionError):
        members = repaired_json(data, anomalies)
    return mapping(members)


def _index(value: object) -> int | None:
    return value if type(value) is int else None
