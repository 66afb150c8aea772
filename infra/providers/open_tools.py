"""The remote tools that run at this moment, and by when the first of them has to be done."""

from domain.providers.events import ToolDone, ToolName, ToolStart


class OpenTools:
    """Each tool has `limit_s` from its own start; a start that is told twice counts from the first.

    Calls of functions are no such tools: the model is still writing them down.
    """

    __slots__ = ("_due", "_limit_s")

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._due: dict[str, float] = {}

    @property
    def first_due(self) -> float | None:
        """None while no tool runs."""
        return next(iter(self._due.values()), None)

    def note(self, event: ToolStart | ToolDone, now: float) -> None:
        if event.name is ToolName.FUNCTION_CALL:
            return
        if isinstance(event, ToolStart):
            self._due.setdefault(event.key, now + self._limit_s)
        else:
            self._due.pop(event.key, None)
