"""What one stream has to look like: the bytes of a response, taken apart and compared with what the upstream sent."""

from collections.abc import Iterator, Sequence

import msgspec


class Delta(msgspec.Struct):
    content: str


def faults(parts: Sequence[bytes], stream: str, deltas: int) -> list[str]:
    """Everything wrong with a whole HTTP response to `stream`: status, missing, doubled, foreign or reordered text.

    Each delta of the upstream names its stream and its number, so equal text means equal count and order.
    """
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    status = head.partition(b"\r\n")[0].decode(errors="replace")
    if " 200 " not in status:
        return [f"{status or 'no answer'} {body[:300]!r}"]
    events = list(_events(b"".join(_chunks(body))))
    text = "".join(msgspec.json.decode(data, type=Delta).content for event, data in events if event == b"delta")
    found = []
    if text != "".join(f"{stream}:{number} " for number in range(deltas)):
        found.append(f"not the {deltas} deltas of this stream in their order; the text ends with {text[-40:]!r}")
    if not events or events[-1][0] != b"done":
        found.append(f"ended with {events[-1] if events else 'nothing'}")
    return found


def _chunks(body: bytes) -> Iterator[bytes]:
    """The data of a chunked body (RFC 9112, section 7.1), as far as it is whole."""
    position = 0
    while (line_end := body.find(b"\r\n", position)) > position:
        start = line_end + 2
        end = start + int(body[position:line_end], 16)
        yield body[start:end]
        position = end + 2


def _events(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    for frame in body.replace(b"\r\n", b"\n").split(b"\n\n"):
        fields = dict(line.split(b": ", 1) for line in frame.split(b"\n") if b": " in line)
        if b"event" in fields:
            yield fields[b"event"], fields.get(b"data", b"")
