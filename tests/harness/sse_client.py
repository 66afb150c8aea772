"""Reads a turn's event stream as strictly as api.md 4.1 to 4.3 word it, over a connection that can misbehave."""

import re
import socket
import struct
from collections.abc import AsyncIterator, Iterable
from itertools import dropwhile, pairwise
from typing import Any

import aiohttp
import anyio
import msgspec

_FRAME = re.compile(rb"id: (\d+)\nevent: ([a-z_]+)\ndata: ([^\n\r]+)")
_COMMENT = b": ping"
_GRAMMAR = re.compile(r"(stream_started)?( ping)*( delta| tool| :)*( citations( :)*)?( done| error)?")


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """One event; a keep-alive comment is an event called ":" without data."""

    number: int
    event: str
    data: dict[str, Any]


class EventStream:
    """The events of one answer, kept as they come. `cut` is set when the connection broke instead of ending.

    `position` is the number of the event that the answer was asked to begin after; None when it tells a new turn.
    """

    def __init__(self, response: aiohttp.ClientResponse, position: int | None = None) -> None:
        self.frames: list[Frame] = []
        self.position = position
        self.ended = False
        self.cut = False
        self.left = False
        self._response = response
        self._unread = b""

    async def __aiter__(self) -> AsyncIterator[Frame]:
        """Every frame from the first, also those an earlier loop has seen."""
        position = 0
        while position < len(self.frames) or await self._read():
            if position < len(self.frames):
                yield self.frames[position]
                position += 1

    async def first(self, event: str, count: int = 1) -> Frame:
        """Reads until the event has come `count` times and returns the last of them."""
        async for frame in self:
            count -= frame.event == event
            if count == 0:
                return frame
        raise AssertionError(f"{event} never came, but {[frame.event for frame in self.frames]}")

    async def end(self) -> Frame:
        """Reads to the end of the body; the terminal event."""
        await self.body()
        terminal = self.terminal
        assert terminal is not None, "the body ended without a terminal event"
        return terminal

    async def body(self) -> None:
        """Reads to the end of the body, or until the connection breaks."""
        async for _ in self:
            pass

    async def broken_off(self) -> None:
        await self.body()
        assert self.cut, "the body ended in good order"

    @property
    def text(self) -> str:
        deltas = (frame.data for frame in self.frames if frame.event == "delta")
        return "".join(delta["content"] for delta in deltas if delta["type"] == "text")

    @property
    def is_whole(self) -> bool:
        """Begins with the beginning, so that it takes the place of what was shown before (api.md 4.6)."""
        events = self._events_and_after
        return bool(events) and events[0].event == "stream_started"

    @property
    def _events_and_after(self) -> list[Frame]:
        """Without the comments that may keep a resumed connection alive before its first event."""
        return list(dropwhile(lambda frame: frame.event == ":", self.frames))

    @property
    def newest(self) -> int:
        """The number to resume after."""
        return self.frames[-1].number if self.frames else self.position or 0

    @property
    def terminal(self) -> Frame | None:
        return next((frame for frame in self.frames if frame.event in {"done", "error"}), None)

    @property
    def terminal_told_again(self) -> Frame | None:
        """As a replay tells it: what is left of the credits is told to the first readers alone."""
        terminal = self.terminal
        if terminal is None or terminal.event == "error":
            return terminal
        return msgspec.structs.replace(terminal, data=terminal.data | {"quota_warnings": []})

    @property
    def message_id(self) -> str:
        message_id: str = self.frames[0].data["message_id"]
        return message_id

    @property
    def request_id(self) -> str:
        request_id: str = self.frames[0].data["request_id"]
        return request_id

    def hang_up(self) -> None:
        """Closes the connection in good order: FIN."""
        self.left = True
        self._response.close()

    def reset(self) -> None:
        """Tears the connection: RST."""
        self.left = True
        transport = self._transport()
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()

    def stop_reading(self) -> None:
        """From now on the kernel's buffers fill and nothing is taken out of them."""
        self._transport().pause_reading()

    def faults(self) -> list[str]:
        """What broke the contract of a stream, nothing when it was kept."""
        return [fault for fault in (self._grammar_fault(), self._number_fault(), self._end_fault()) if fault]

    def _grammar_fault(self) -> str | None:
        said = " ".join(frame.event for frame in self.frames)
        kept = said.removeprefix(": " * (len(self.frames) - len(self._events_and_after)))
        fits = not kept or _GRAMMAR.fullmatch(kept if self.is_whole else f" {kept}")
        return None if fits and (self.is_whole or self.position or not kept) else f"not in the grammar: {said}"

    def _number_fault(self) -> str | None:
        """A replay may skip numbers; on the wire they never fall, and only keep-alives repeat one."""
        numbers = [frame.number for frame in self.frames if frame.event not in {"ping", ":"}]
        before = [] if self.is_whole else [self.position or 0]
        rising = all(left < right for left, right in pairwise([*before, *numbers]))
        is_live = bool(self.frames) and self.frames[0].data.get("is_new_turn") is True
        gapless = not is_live or numbers == list(range(1, len(numbers) + 1))
        return None if rising and gapless else f"numbered {numbers}"

    def _end_fault(self) -> str | None:
        # Who follows may be asked to come back; who waits for a terminal event says so by `end`.
        if self.ended and self.terminal is None and self.position is None:
            return "ended without a terminal event"
        return "half a frame at the end" if self.ended and self._unread else None

    def _transport(self) -> Any:
        connection = self._response.connection
        assert connection is not None
        return connection.transport

    async def _read(self) -> bool:
        if self.ended or self.cut or self.left:
            return False
        try:
            data = await self._response.content.readany()
        except (aiohttp.ClientError, OSError):
            self.cut = True
            return True
        self._take(data)
        self.ended = self._response.content.at_eof()
        return True

    def _take(self, data: bytes) -> None:
        *whole, self._unread = (self._unread + data).split(b"\n\n")
        self.frames.extend(map(self._frame, whole))

    def _frame(self, raw: bytes) -> Frame:
        if raw == _COMMENT:
            return Frame(number=self.newest, event=":", data={})
        match = _FRAME.fullmatch(raw)
        assert match, f"no frame: {raw!r}"
        return Frame(number=int(match[1]), event=match[2].decode(), data=msgspec.json.decode(match[3]))


def shown(bodies: Iterable[EventStream]) -> str:
    """What a client shows that got these bodies of one turn one after the other, by the rule of api.md 4.6."""
    text = ""
    for body in bodies:
        text = body.text if body.is_whole else text + body.text
    return text


async def all_ended(streams: Iterable[EventStream]) -> list[Frame]:
    """Reads all of them side by side; their terminal events in the order of the streams."""
    async with anyio.create_task_group() as group:
        wanted = list(streams)
        for stream in wanted:
            group.start_soon(stream.end)
    return [frame for stream in wanted if (frame := stream.terminal)]
