"""Separates what a model does with tools from what it says, however the text was cut into tokens."""

import re
from enum import Enum
from typing import Final, TypeAlias

import msgspec

MAX_BLOCK_BYTES: Final = 16 * 1024
_MARKER: Final = re.compile(r"<\|(python|output)_(start|end)\|>")
_MARKERS: Final = tuple(f"<|{kind}_{side}|>" for kind in ("python", "output") for side in ("start", "end"))


class BlockKind(Enum):
    CALL = "python"
    RESULT = "output"


class Block(msgspec.Struct, frozen=True):
    """What stood between two markers; `body` is None where it was too long or never closed."""

    kind: BlockKind
    body: str | None


Piece: TypeAlias = str | Block


class MarkerParser:
    """Any chunking gives the same texts and blocks. No marker is ever text; less than one is held back.

    A marker that does not fit closes the block it stands in, which is then broken.
    """

    def __init__(self) -> None:
        self._held = ""
        self._open: BlockKind | None = None
        self._body: list[str] = []
        self._body_bytes = 0

    def feed(self, text: str) -> list[Piece]:
        pieces: list[Piece] = []
        text, at = self._held + text, 0
        for match in _MARKER.finditer(text):
            self._take(text[at : match.start()], pieces)
            self._pass(BlockKind(match[1]), match[2], pieces)
            at = match.end()
        rest = text[at:]
        self._held = _possible_start(rest)
        self._take(rest.removesuffix(self._held), pieces)
        return pieces

    def flush(self) -> list[Piece]:
        """What is still held is no marker after all."""
        pieces: list[Piece] = []
        self._take(self._held, pieces)
        self._held = ""
        self._break(pieces)
        return pieces

    def _take(self, text: str, pieces: list[Piece]) -> None:
        if self._open is None:
            if text:
                pieces.append(text)
            return
        self._body_bytes += len(text.encode())
        if self._body_bytes <= MAX_BLOCK_BYTES:
            self._body.append(text)
        else:
            self._body.clear()

    def _pass(self, kind: BlockKind, side: str, pieces: list[Piece]) -> None:
        if side == "end" and kind is self._open:
            fits = self._body_bytes <= MAX_BLOCK_BYTES
            pieces.append(Block(kind, "".join(self._body) if fits else None))
            self._open = None
            return
        self._break(pieces)
        if side == "start":
            self._open, self._body, self._body_bytes = kind, [], 0

    def _break(self, pieces: list[Piece]) -> None:
        if self._open is not None:
            pieces.append(Block(self._open, None))
            self._open = None


def _possible_start(text: str) -> str:
    """The end of the text with which a marker might begin."""
    at = text.rfind("<")
    tail = text[at:] if at >= 0 else ""
    return tail if tail and any(marker.startswith(tail) for marker in _MARKERS) else ""
