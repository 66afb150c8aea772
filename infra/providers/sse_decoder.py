"""The bytes of an event stream to frames: no I/O, and any split of the same bytes gives the same frames."""

import msgspec

DONE = b"[DONE]"
MAX_FRAME_BYTES = 1024 * 1024
MAX_STREAM_BYTES = 64 * 1024 * 1024
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Frame(msgspec.Struct, frozen=True, gc=False):
    """`event` is empty where the stream gave no name; `data` holds the undecoded `data` lines joined by LF."""

    event: str
    data: bytes


class SseDecoder:
    """Follows the WHATWG rules; but empty data makes no frame, and an unfinished last block may (see `finish`).

    Once a line, a frame or the stream is larger than allowed, `exceeded` is set and nothing more comes out.
    """

    def __init__(self, *, max_frame_bytes: int = MAX_FRAME_BYTES, max_stream_bytes: int = MAX_STREAM_BYTES) -> None:
        self.exceeded = False
        self._max_frame_bytes = max_frame_bytes
        self._left_bytes = max_stream_bytes
        self._opening: bytes | None = b""  # what may still turn out to be a byte order mark
        self._after_cr = False
        self._tail: list[bytes] = []
        self._tail_bytes = 0
        self._event = ""
        self._data: list[bytes] = []
        self._data_bytes = 0

    def feed(self, chunk: bytes) -> list[Frame]:
        if self.exceeded or not chunk:
            return []
        if self._opening is not None:
            chunk = self._without_mark(chunk)
        elif self._at_start and self._allows(len(chunk)) and (frame := _one_plain_frame(chunk)) is not None:
            self._left_bytes -= len(chunk)
            return [frame]
        over = len(chunk) - self._left_bytes
        self._left_bytes -= len(chunk)
        frames = self._cut(chunk[:-over] if over > 0 else chunk)
        if over > 0:
            self.exceeded = True
        return frames

    @property
    def _at_start(self) -> bool:
        """Nothing of a frame has come yet."""
        return not (self._tail or self._data or self._event or self._after_cr)

    def _allows(self, size_bytes: int) -> bool:
        return size_bytes <= self._max_frame_bytes and size_bytes <= self._left_bytes

    def finish(self) -> list[Frame]:
        """A block that the end cut off counts if its data is complete JSON or `[DONE]`."""
        rest = self._opening or b""
        frames = self._cut(rest + b"\n") if rest or self._tail else []
        if self._data and not self.exceeded and _is_whole(b"\n".join(self._data)):
            self._dispatch(frames)
        return frames

    def _without_mark(self, chunk: bytes) -> bytes:
        opening = (self._opening or b"") + chunk
        if len(opening) < len(_BYTE_ORDER_MARK) and _BYTE_ORDER_MARK.startswith(opening):
            self._opening = opening
            return b""
        self._opening = None
        return opening.removeprefix(_BYTE_ORDER_MARK)

    def _cut(self, chunk: bytes) -> list[Frame]:
        if self._after_cr or b"\r" in chunk:
            chunk = self._with_lf(chunk)
        lines = chunk.split(b"\n")
        rest = lines.pop()
        if lines and self._tail:
            lines[0] = b"".join((*self._tail, lines[0]))
            self._tail.clear()
            self._tail_bytes = 0
        frames = self._take(lines)
        if rest and not self.exceeded:
            self._tail.append(rest)
            self._tail_bytes += len(rest)
            self.exceeded = self._tail_bytes > self._max_frame_bytes
        return frames

    def _with_lf(self, chunk: bytes) -> bytes:
        """A CR at the end of a chunk ends its line at once, so the LF that may follow is swallowed."""
        if not chunk:
            return chunk
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _take(self, lines: list[bytes]) -> list[Frame]:
        frames: list[Frame] = []
        for line in lines:
            if not line:
                if self._data:
                    self._dispatch(frames)
                self._event = ""
            elif line.startswith(b"data: "):
                self._add_data(line[6:])
            else:
                self._field(line)
            if self.exceeded or len(line) > self._max_frame_bytes:
                self.exceeded = True
                break
        return frames

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"event":
            self._event = value.decode("utf-8", "replace")
        elif name == b"data":
            self._add_data(value)

    def _add_data(self, value: bytes) -> None:
        self._data.append(value)
        self._data_bytes += len(value) + 1
        self.exceeded = self._data_bytes > self._max_frame_bytes + 1

    def _dispatch(self, frames: list[Frame]) -> None:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        if data:
            frames.append(Frame(self._event, data))
        self._event = ""
        self._data.clear()
        self._data_bytes = 0


def _one_plain_frame(chunk: bytes) -> Frame | None:
    """Perhaps an `event` line, one `data` line that is not empty, a blank one: how nearly every chunk looks."""
    data = chunk.find(b"\n") + 1 if chunk.startswith(b"event: ") else 0
    is_plain = (
        chunk.startswith(b"data: ", data)
        and data + len(b"data: ") < chunk.find(b"\n", data) == len(chunk) - 2
        and chunk.endswith(b"\n")
        and b"\r" not in chunk
    )
    if not is_plain:
        return None
    return Frame(chunk[7 : data - 1].decode("utf-8", "replace") if data else "", chunk[data + 6 : -2])


def _is_whole(data: bytes) -> bool:
    if data == DONE:
        return True
    try:
        msgspec.json.decode(data)
    except (ValueError, RecursionError):
        return False
    return True
