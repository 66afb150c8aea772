"""The same event stream as different networks and servers deliver it, and what a translator makes of it.

Golden tests feed every shape: whatever the cuts and the line ends, the events have to be the same.
"""

import random
from collections.abc import Iterable, Iterator

from domain.providers.events import Completed, Failed, ProviderEvent, ReasoningDelta, TextDelta
from infra.providers.adapter import Translator
from infra.providers.sse_decoder import MAX_FRAME_BYTES, SseDecoder

LINE_ENDS = (b"\n", b"\r\n", b"\r")
_RANDOM_CUTS = 8


def shapes_of(stream: bytes, seed: int = 1) -> Iterator[tuple[str, list[bytes]]]:
    """`stream` with each line end, whole, by one byte, by three, and cut at random places; each with its name."""
    assert b"\r" not in stream
    for end in LINE_ENDS:
        served = stream.replace(b"\n", end)
        for size in (len(served), 3, 1):
            yield f"{end!r} by {size}", cut(served, size)
        for number in range(_RANDOM_CUTS):
            yield f"{end!r} random {seed}/{number}", list(_cut_anyhow(served, random.Random(f"{seed}/{number}")))


def cut(stream: bytes, size: int) -> list[bytes]:
    return [stream[at : at + size] for at in range(0, len(stream), size)]


def events_of(
    translator: Translator, chunks: Iterable[bytes], *, max_frame_bytes: int = MAX_FRAME_BYTES
) -> list[ProviderEvent]:
    """What the driver would see: everything up to the terminal, which the end of the stream brings if need be."""
    decoder = SseDecoder(max_frame_bytes=max_frame_bytes)
    events: list[ProviderEvent] = []
    for frames in (*(decoder.feed(chunk) for chunk in chunks), decoder.finish()):
        for frame in frames:
            events += translator.on_frame(frame)
            if events and isinstance(events[-1], (Completed, Failed)):
                return events
    return events + translator.on_eof()


def joined(events: Iterable[ProviderEvent]) -> list[ProviderEvent]:
    """Neighbouring pieces of one kind as one, because where a text is cut is nobody's promise."""
    whole: list[ProviderEvent] = []
    for event in events:
        last = whole[-1] if whole else None
        if isinstance(event, TextDelta) and isinstance(last, TextDelta):
            whole[-1] = TextDelta(last.text + event.text)
        elif isinstance(event, ReasoningDelta) and isinstance(last, ReasoningDelta):
            whole[-1] = ReasoningDelta(last.text + event.text)
        else:
            whole.append(event)
    return whole


def _cut_anyhow(served: bytes, chance: random.Random) -> Iterator[bytes]:
    at = 0
    while at < len(served):
        size = chance.choice((1, 2, 7, 64, 500))
        yield served[at : at + size]
        at += size
