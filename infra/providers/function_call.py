"""A call of a function as every adapter tells it: named by its number, for names of the remote go no further."""

from typing import Final

import msgspec

from domain.providers.events import FunctionCall, ToolDone, ToolName, ToolStart

MOST_CALLS: Final = 16
MOST_ARGUMENT_CHARS: Final = 64 * 1024


class NumberedCall(msgspec.Struct, frozen=True):
    """Numbers begin with 0."""

    number: int
    name: str

    @property
    def key(self) -> str:
        return f"call_{self.number}"

    def start(self) -> ToolStart:
        return ToolStart(self.key, ToolName.FUNCTION_CALL, {"index": self.number, **self._shown()})

    def done(self, arguments: str) -> ToolDone:
        return ToolDone(self.key, ToolName.FUNCTION_CALL, {**self._shown(), "arguments": arguments})

    def handed_on(self, arguments: str) -> FunctionCall:
        return FunctionCall(key=self.key, name=self.name, arguments=arguments)

    def _shown(self) -> dict[str, object]:
        return {"call_id": self.key, "name": self.name}
