"""What a provider says, in our words: a closed union that every adapter translates into.

Exactly one Completed or Failed comes, always last.
"""

from enum import StrEnum
from typing import TypeAlias

import msgspec

from domain.providers.errors import ProviderFailure


class Finish(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    CONTENT_FILTER = "content_filter"
    TOOL_LIMIT = "tool_limit"


class ToolName(StrEnum):
    FILE_SEARCH = "file_search"
    WEB_SEARCH = "web_search"
    CODE_INTERPRETER = "code_interpreter"
    FUNCTION_CALL = "function_call"


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens as the provider counted them; None where it did not say. `input` includes cached tokens."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None

    def grown_from(self, earlier: "Usage | None") -> "Usage":
        """Both reports of one call: counts grow while it runs, so of two numbers the larger is the later one."""
        if earlier is None:
            return self
        return Usage(**{name: _larger(getattr(self, name), getattr(earlier, name)) for name in self.__struct_fields__})

    def completed_by(self, provisional: "Usage | None") -> "Usage":
        """These are final; what they leave out is what was told before."""
        if provisional is None:
            return self
        told = self.__struct_fields__
        return Usage(**{name: _first(getattr(self, name), getattr(provisional, name)) for name in told})


def _larger(one: int | None, other: int | None) -> int | None:
    return max((count for count in (one, other) if count is not None), default=None)


def _first(one: int | None, other: int | None) -> int | None:
    return other if one is None else one


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Code points of the answer, end exclusive."""

    start: int
    end: int


class Citation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Members in wire order (api.md 3.2)."""

    source: str
    title: str
    url: str | None = None
    attachment_id: str | None = None
    snippet: str
    score: float | None = None
    span: Span | None = None


class Accepted(msgspec.Struct, frozen=True):
    """The response head arrived; at most once, and before anything else."""

    status: int


class TextDelta(msgspec.Struct, frozen=True, gc=False):
    """A piece of the answer, never empty."""

    text: str


class ReasoningDelta(msgspec.Struct, frozen=True, gc=False):
    """A piece of the model's reasoning, never empty, never stored."""

    text: str


class ToolStart(msgspec.Struct, frozen=True):
    key: str
    name: ToolName
    details: dict[str, object] = msgspec.field(default_factory=dict)


class ToolDone(msgspec.Struct, frozen=True):
    """The end of the call that `ToolStart` opened under the same key."""

    key: str
    name: ToolName
    details: dict[str, object] = msgspec.field(default_factory=dict)


class FunctionCall(msgspec.Struct, frozen=True, kw_only=True):
    """A whole call of a function that the request offered; `arguments` is the model's text, not yet looked at."""

    key: str
    name: str
    arguments: str


class CitationFound(msgspec.Struct, frozen=True):
    citation: Citation


class UsageReport(msgspec.Struct, frozen=True):
    """Provisional; counts if the terminal brings none."""

    usage: Usage


class Completed(msgspec.Struct, frozen=True, kw_only=True):
    """`remote_id` and `remote_model` are for our books alone."""

    finish: Finish
    usage: Usage | None = None
    remote_id: str | None = None
    remote_model: str | None = None


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    failure: ProviderFailure
    usage: Usage | None = None


ProviderEvent: TypeAlias = (
    Accepted
    | TextDelta
    | ReasoningDelta
    | ToolStart
    | ToolDone
    | FunctionCall
    | CitationFound
    | UsageReport
    | Completed
    | Failed
)
