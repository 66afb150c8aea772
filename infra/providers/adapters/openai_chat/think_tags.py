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
        rest, self._held = self._held + text, ""
        while rest:
            rest = self._step(rest, pieces)
        return pieces

    def flush(self) -> list[Piece]:
        """What is still held is no tag after all. From now on everything is text."""
        pieces: list[Piece] = []
        self._say(self._held, pieces)
        self._held = ""
        self._plain = True
        return pieces

    def _step(self, text: str, pieces: list[Piece]) -> str:
        """Consumes a part of the text and returns what is left to look at."""
        if self._undecided:
            return self._decide(text, pieces)
        if self._breaks_to_swallow:
            return self._swallow(text)
        if self._inside or self._anywhere:
            return self._seek(_CLOSE if self._inside else _OPEN, text, pieces)
        self._plain = True
        self._say(text, pieces)
        return ""

    def _decide(self, text: str, pieces: list[Piece]) -> str:
        """Blanks pass; the first other characters are the opening tag or there is none."""
        start = text.lstrip()
        self._say(text[: len(text) - len(start)], pieces)
        if start.startswith(_OPEN):
            self._undecided, self._inside = False, True
            return start.removeprefix(_OPEN)
        if _OPEN.startswith(start):
            self._held = start
            return ""
        self._undecided = False
        return start

    def _swallow(self, text: str) -> str:
        if not text.startswith("\n"):
            self._breaks_to_swallow = 0
            return text
        self._breaks_to_swallow -= 1
        return text[1:]

    def _seek(self, tag: str, text: str, pieces: list[Piece]) -> str:
        before, found, after = text.partition(tag)
        if not found:
            self._held = _possible_start(tag, text)
            self._say(text.removesuffix(self._held), pieces)
            return ""
        self._say(before, pieces)
        self._breaks_to_swallow = _SWALLOWED_BREAKS if self._inside else 0
        self._inside = not self._inside
        return after

    def _say(self, text: str, pieces: list[Piece]) -> None:
        if text:
            pieces.append(ReasoningDelta(text) if self._inside else TextDelta(text))


def _possible_start(tag: str, text: str) -> str:
    """The longest end of the text with which the tag might begin."""
    for length in range(min(len(tag) - 1, len(text)), 0, -1):
        if text.endswith(tag[:length]):
            return tag[:length]
    return ""
