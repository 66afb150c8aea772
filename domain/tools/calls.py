"""How often tools that a provider runs are called: counted, held and limited in the same numbers (engine.md 4.8)."""

from collections.abc import Container
from typing import Final

import msgspec


class ToolCalls(msgspec.Struct, frozen=True, kw_only=True):
    """Its members are called as the tools are."""

    file_search: int = 0
    web_search: int = 0
    code_interpreter: int = 0

    def of(self, tool: str) -> int:
        calls: int = getattr(self, tool)
        return calls

    def only(self, tools: Container[str]) -> "ToolCalls":
        """The same without those of other tools."""
        return ToolCalls(**{tool: self.of(tool) for tool in self.__struct_fields__ if tool in tools})

    def or_more(self, other: "ToolCalls") -> "ToolCalls":
        """Of each tool as many as the one or the other says."""
        return ToolCalls(**{tool: max(self.of(tool), other.of(tool)) for tool in self.__struct_fields__})


NO_CALLS: Final = ToolCalls()


class ToolLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a deployment lets each user call in a UTC day and with one message. File search has no limit by the day."""

    web_search_daily: int = 75
    web_search_per_message: int = 2
    code_interpreter_daily: int = 50
    code_interpreter_per_message: int = 10
    file_search_per_message: int = 2

    def for_one_message(self, taken: ToolCalls) -> ToolCalls:
        """What the next message may call; `taken` is what today's messages have called or hold."""
        return ToolCalls(
            file_search=self.file_search_per_message,
            web_search=_least(self.web_search_per_message, self.web_search_daily - taken.web_search),
            code_interpreter=_least(
                self.code_interpreter_per_message, self.code_interpreter_daily - taken.code_interpreter
            ),
        )


def _least(per_message: int, left_today: int) -> int:
    return max(0, min(per_message, left_today))
