"""The text and the reasoning of one answer, repaired, and how long its text has become."""

from domain.providers.events import ReasoningDelta, TextDelta
from infra.providers.text_repair import TextRepair


class Speech:
    """`length` counts the code points of the text that came out so far."""

    def __init__(self) -> None:
        self.length = 0
        self._text = TextRepair()
        self._reasoning = TextRepair()
        self._thought = False

    @property
    def begun(self) -> bool:
        return self._thought or self.length > 0

    def say(self, text: str | None) -> list[TextDelta]:
        return self._said(self._text.feed(text)) if text else []

    def think(self, text: str | None) -> list[ReasoningDelta]:
        return self._reasoned(self._reasoning.feed(text)) if text else []

    def pause(self) -> list[TextDelta]:
        """What was held back of the text, for none of it follows in this block."""
        return self._said(self._text.flush())

    def end(self) -> list[TextDelta | ReasoningDelta]:
        return [*self._reasoned(self._reasoning.flush()), *self.pause()]

    def _said(self, text: str) -> list[TextDelta]:
        self.length += len(text)
        return [TextDelta(text)] if text else []

    def _reasoned(self, text: str) -> list[ReasoningDelta]:
        self._thought = self._thought or bool(text)
        return [ReasoningDelta(text)] if text else []
