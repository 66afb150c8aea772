"""Separates `<think>…</think>` from the answer, however the text was cut into chunks."""

from typing import TypeAlias

from domain.providers.events import ReasoningDelta, TextDelta
from infra.providers.settings import ThinkTags

Piece: TypeAlias = TextDelta | ReasoningDelta

_OPEN = "<think>"
_CLOSE = "</think>"
_SWALLOWED_BREAKS = 2


class ThinkSplitter:
    """Any chunking gives the same texts; less than a tag is held back, and an unclosed block is reasoning."""

    def __init__(self, mode: ThinkTags) -> None:
        self._anywhere = mode is ThinkTags.ANYWHERE
        self._undecided = mode is ThinkTags.LEADING
        self._inside = mode is ThinkTags.PREOPENED
        self._plain = mode is ThinkTags.OFF
        self._breaks_to_swallow = 0
        self._held = ""

    def feed(self, text: str) -> list[Piece]:
        if self._plain:
            return [TextDelta(text)] if text else []
        pieces: list[Piece] = []
        text, self._held, at = self._held + text, "", 0
        while at < len(text):
            at = self._step(text, at, pieces)
        return pieces

    def flush(self) -> list[Piece]:
        """What is still held is no tag after all. From now on everything is text."""
        pieces: list[Piece] = []
        self._say(self._held, pieces)
        self._held = ""
        self._plain = True
        return pieces

    def _step(self, text: str, at: int, pieces: list[Piece]) -> int:
        """Consumes a part of the text from there on and returns where to look next; what is left is not copied."""
        if self._undecided:
            return self._decide(text, at, pieces)
        if self._breaks_to_swallow:
            return self._swallow(text, at)
        if self._inside or self._anywhere:
            return self._seek(_CLOSE if self._inside else _OPEN, text, at, pieces)
        self._plain = True
        self._say(text[at:], pieces)
        return len(text)

    def _decide(self, text: str, at: int, pieces: list[Piece]) -> int:
        """Blanks pass; the first other characters are the opening tag or there is none."""
        start = text[at:].lstrip()
        begins_at = len(text) - len(start)
        self._say(text[at:begins_at], pieces)
        if start.startswith(_OPEN):
            self._undecided, self._inside = False, True
            return begins_at + len(_OPEN)
        if _OPEN.startswith(start):
            self._held = start
            return len(text)
        self._undecided = False
        return begins_at

    def _swallow(self, text: str, at: int) -> int:
        if not text.startswith("\n", at):
            self._breaks_to_swallow = 0
            return at
        self._breaks_to_swallow -= 1
        return at + 1

    def _seek(self, tag: str, text: str, at: int, pieces: list[Piece]) -> int:
        found_at = text.find(tag, at)
        if found_at < 0:
            rest = text[at:]
            self._held = _possible_start(tag, rest)
            self._say(rest.removesuffix(self._held), pieces)
            return len(text)
        self._say(text[at:found_at], pieces)
        self._breaks_to_swallow = _SWALLOWED_BREAKS if self._inside else 0
        self._inside = not self._inside
        return found_at + len(tag)

    def _say(self, text: str, pieces: list[Piece]) -> None:
        if text:
            pieces.append(ReasoningDelta(text) if self._inside else TextDelta(text))


def _possible_start(tag: str, text: str) -> str:
    """The longest end of the text with which the tag might begin."""
    for length in range(min(len(tag) - 1, len(text)), 0, -1):
        if text.endswith(tag[:length]):
            return tag[:length]
    return ""
