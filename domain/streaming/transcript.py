"""What a turn has said so far: provider events folded into text, citations, usage and times. Pure."""

from collections.abc import Callable, Mapping

from domain.providers.errors import VERDICTS
from domain.providers.events import (
    Accepted,
    Citation,
    CitationFound,
    Completed,
    Failed,
    Finish,
    FunctionCall,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    ToolDone,
    ToolName,
    ToolStart,
    Usage,
    UsageReport,
)
from domain.streaming.events import Delta, StreamEvent, Tool
from domain.streaming.failures import CALLS_EXCEEDED
from domain.streaming.models import Broke, Ending, Finished
from domain.tools.meter import ToolMeter

_BLOCK = 32
"""So many pieces become one: a piece of three letters takes eighty bytes as long as it stands alone."""


class Transcript:
    """`fold` is told every provider event in order and answers with what the readers get of it.

    `ending` is set by the first terminal, when the text has grown to `max_text_bytes`, or by a tool call beyond
    `tool_limits`; later events are ignored. `first_token` is the clock's reading at the first text. `reported_usage`
    is what was reported before a terminal.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        max_text_bytes: int,
        *,
        exposes_reasoning: bool,
        tool_limits: Mapping[ToolName, int] | None = None,
    ) -> None:
        self._monotonic = monotonic
        self._room_bytes = max_text_bytes
        self._exposes_reasoning = exposes_reasoning
        self._blocks: list[str] = []
        self._parts: list[str] = []
        self.tools = ToolMeter(tool_limits or {})
        self.reported_usage: Usage | None = None
        self.generated_bytes = 0
        self.citations: list[Citation] = []
        self.first_token: float | None = None
        self.ending: Ending | None = None
        self.remote_id: str | None = None
        self.remote_model: str | None = None

    def is_of(self, *, exposes_reasoning: bool, tool_limits: Mapping[ToolName, int]) -> None:
        """Another model answers than the one it was begun for; nothing has been said yet."""
        self._exposes_reasoning = exposes_reasoning
        self.tools = ToolMeter(tool_limits)

    @property
    def text(self) -> str:
        """Stands in one piece from then on, so that whoever keeps it and the transcript keep the same."""
        if self._parts or len(self._blocks) > 1:
            self._blocks = ["".join([*self._blocks, *self._parts])]
            self._parts.clear()
        return self._blocks[0] if self._blocks else ""

    def fold(self, event: ProviderEvent) -> StreamEvent | None:
        if self.ending is not None:
            return None
        if type(event) is TextDelta:
            return self._text(event.text)
        return self._other(event)

    def _text(self, text: str) -> StreamEvent:
        if self.first_token is None:
            self.first_token = self._monotonic()
        self._parts.append(text)
        if len(self._parts) == _BLOCK:
            self._blocks.append("".join(self._parts))
            self._parts.clear()
        self._grow(text)
        return Delta("text", text)

    def _other(self, event: ProviderEvent) -> StreamEvent | None:
        match event:
            case ReasoningDelta(text):
                return self._reasoning(text)
            case ToolStart():
                return self._tool_start(event)
            case ToolDone(_, name, details):
                self.tools.done(name)
                return Tool(phase="done", name=name, details=details)
            case CitationFound(citation):
                self.citations.append(citation)
            case UsageReport(usage):
                self.reported_usage = usage.grown_from(self.reported_usage)
            case Completed():
                self.remote_id, self.remote_model = event.remote_id, event.remote_model
                self.ending = Finished(finish=event.finish, usage=self._final(event.usage))
            case Failed():
                self.ending = self._broke(event)
            case Accepted() | TextDelta() | FunctionCall():
                pass
        return None

    def _tool_start(self, event: ToolStart) -> StreamEvent | None:
        if self.tools.start(event.name):
            return Tool(phase="start", name=event.name, details=event.details)
        code = CALLS_EXCEEDED.get(event.name)
        usage = self.reported_usage
        self.ending = (
            Finished(finish=Finish.TOOL_LIMIT, usage=usage)
            if code is None
            else Broke(code=code, retryable=False, usage=usage)
        )
        return None

    def _reasoning(self, text: str) -> StreamEvent | None:
        self._grow(text)
        return Delta("reasoning", text) if self._exposes_reasoning else None

    def _grow(self, text: str) -> None:
        size_bytes = len(text) if text.isascii() else len(text.encode())
        self.generated_bytes += size_bytes
        if self.generated_bytes >= self._room_bytes:
            self.ending = Finished(finish=Finish.LENGTH, usage=self.reported_usage)

    def _broke(self, event: Failed) -> Broke:
        verdict = VERDICTS[event.failure.kind]
        return Broke(
            code=verdict.code,
            retryable=verdict.retryable,
            retry_after_ms=event.failure.retry_after_ms,
            usage=self._final(event.usage),
        )

    def _final(self, usage: Usage | None) -> Usage | None:
        return self.reported_usage if usage is None else usage.completed_by(self.reported_usage)
