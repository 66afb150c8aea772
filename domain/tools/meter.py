"""The tool calls of one running turn, counted against what it may call (engine.md 4.8)."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from domain.providers.events import ToolName
from domain.tools.calls import ToolCalls


class ToolMeter:
    """`limits` names the tools that have one; only their calls are booked.

    `exceeded` is the tool that was called once too often.
    """

    def __init__(self, limits: Mapping[ToolName, int]) -> None:
        self._limits: Final = limits
        self.starts: Counter[ToolName] = Counter()
        self.dones: Counter[ToolName] = Counter()
        self.exceeded: ToolName | None = None

    def start(self, tool: ToolName) -> bool:
        """False for the call that is one too many; it does not count."""
        limit = self._limits.get(tool)
        if limit is not None and self.starts[tool] >= limit:
            self.exceeded = tool
            return False
        self.starts[tool] += 1
        return True

    def done(self, tool: ToolName) -> None:
        self.dones[tool] += 1

    @property
    def completed(self) -> ToolCalls:
        """The calls that ended, of those that are booked."""
        return ToolCalls(
            file_search=self.dones[ToolName.FILE_SEARCH],
            web_search=self.dones[ToolName.WEB_SEARCH],
            code_interpreter=self.dones[ToolName.CODE_INTERPRETER],
        ).only(self._limits)
