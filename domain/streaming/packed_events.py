"""Events that everybody has had, kept small for whoever asks for them again."""

from array import array
from collections.abc import Sequence
from typing import Literal, TypeAlias

from domain.streaming.events import Delta, StreamEvent


class PackedDeltas:
    """Neighbouring deltas of one type as one text and where each of them ends, a sixth of what they take apart."""

    __slots__ = ("_ends", "_text", "_type")

    def __init__(self, deltas: Sequence[Delta]) -> None:
        self._type: Literal["text", "reasoning"] = deltas[0].type
        self._text = "".join([delta.content for delta in deltas])
        self._ends = array("I")
        end = 0
        for delta in deltas:
            end += len(delta.content)
            self._ends.append(end)

    def unpacked(self) -> list[StreamEvent]:
        events: list[StreamEvent] = []
        start = 0
        for end in self._ends:
            events.append(Delta(self._type, self._text[start:end]))
            start = end
        return events


Block: TypeAlias = PackedDeltas | list[StreamEvent]


def packed(events: list[StreamEvent]) -> Block:
    """As they are when there is anything among them but deltas of one type."""
    deltas = [event for event in events if isinstance(event, Delta)]
    if not deltas or len(deltas) < len(events) or any(delta.type != deltas[0].type for delta in deltas):
        return events
    return PackedDeltas(deltas)


def unpacked(block: Block) -> list[StreamEvent]:
    return block.unpacked() if isinstance(block, PackedDeltas) else block
