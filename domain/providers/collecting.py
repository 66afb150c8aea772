"""A call whose answer is wanted as a whole: the stream, collected (providers-and-files.md 1.1)."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import anyio
import msgspec

from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.events import (
    Accepted,
    CitationFound,
    Completed,
    Failed,
    Finish,
    FunctionCall,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    ToolDone,
    ToolStart,
    Usage,
    UsageReport,
)
from domain.providers.ports import CallControl, Provider
from domain.providers.request import ProviderRequest

MOST_TEXT_BYTES: Final = 256 * 1024
"""More than any answer that is not shown as it comes; what says more is cut off there."""

_LATE: Final = ProviderFailure(kind=FailureKind.TIMEOUT, detail="total deadline")
_BROKEN_OFF: Final = ProviderFailure(kind=FailureKind.INTERRUPTED, detail="the stream had no end")


class ProviderResult(msgspec.Struct, frozen=True, kw_only=True):
    """`text` is what came before the end, whichever it was.

    `called` is false where nothing was sent, and so nothing can cost anything. `generated_bytes` has the reasoning too.
    """

    text: str
    end: Finish | ProviderFailure
    usage: Usage | None
    called: bool
    generated_bytes: int


async def complete(provider: Provider, request: ProviderRequest, deadline: timedelta) -> ProviderResult:
    """The answer within `deadline`, or why there is none: nothing a remote does raises.

    Cancelled or late, the connection is given up at once, as with every stream.
    """
    control, answer = CallControl(), _Answer()
    with anyio.move_on_after(deadline.total_seconds()):
        async with provider.stream(request, control) as batches:
            async for batch in batches:
                if answer.takes(batch):
                    break
            else:
                answer.end = _BROKEN_OFF
    return answer.result(called=control.called)


class _Answer:
    def __init__(self) -> None:
        self.end: Finish | ProviderFailure | None = None
        self._parts: list[str] = []
        self._generated_bytes = 0
        self._usage: Usage | None = None

    def takes(self, batch: Sequence[ProviderEvent]) -> bool:
        """Whether the answer has ended with this batch."""
        for event in batch:
            self._fold(event)
            if self.end is not None:
                return True
        return False

    def result(self, *, called: bool) -> ProviderResult:
        return ProviderResult(
            text="".join(self._parts),
            end=self.end or _LATE,
            usage=self._usage,
            called=called,
            generated_bytes=self._generated_bytes,
        )

    def _fold(self, event: ProviderEvent) -> None:
        match event:
            case TextDelta(text):
                self._parts.append(text)
                self._grow(text)
            case ReasoningDelta(text):
                self._grow(text)
            case UsageReport(usage):
                self._usage = usage.grown_from(self._usage)
            case Completed():
                self._usage = self._final(event.usage)
                self.end = event.finish
            case Failed():
                self._usage = self._final(event.usage)
                self.end = event.failure
            case Accepted() | ToolStart() | ToolDone() | FunctionCall() | CitationFound():
                pass

    def _final(self, usage: Usage | None) -> Usage | None:
        return self._usage if usage is None else usage.completed_by(self._usage)

    def _grow(self, text: str) -> None:
        self._generated_bytes += len(text.encode())
        if self._generated_bytes >= MOST_TEXT_BYTES:
            self.end = Finish.LENGTH
