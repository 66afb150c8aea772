"""What a Messages stream says of its tokens: counts that only grow, told at its beginning and again at its end."""

from collections.abc import Mapping

from domain.providers.events import Usage
from infra.providers.token_count import token_count

_INPUT = "input_tokens"
_OUTPUT = "output_tokens"
_CACHE_READ = "cache_read_input_tokens"
_CACHE_WRITE = "cache_creation_input_tokens"
_THINKING = "thinking_tokens"


class RunningUsage:
    """The largest plausible count of each kind that was told."""

    def __init__(self) -> None:
        self._most: dict[str, int] = {}

    def begin(self, told: Mapping[str, object]) -> None:
        """What the remote has read; at this moment its count of what it wrote says nothing yet."""
        self._note(told, _INPUT, _CACHE_READ, _CACHE_WRITE)

    def grow(self, told: Mapping[str, object]) -> None:
        self._note(told, _INPUT, _CACHE_READ, _CACHE_WRITE, _OUTPUT)
        details = told.get("output_tokens_details")
        if isinstance(details, dict):
            self._note(details, _THINKING)

    def counted(self, *, spoke: bool) -> Usage | None:
        """None where nothing usable was told; and nothing written is unknown if there is text all the same."""
        output = self._most.get(_OUTPUT)
        usage = Usage(
            input_tokens=self._input() or None,
            output_tokens=None if spoke and output == 0 else output,
            cache_read_tokens=self._most.get(_CACHE_READ),
            cache_write_tokens=self._most.get(_CACHE_WRITE),
            reasoning_tokens=self._most.get(_THINKING),
        )
        return None if usage.input_tokens is None and usage.output_tokens is None else usage

    def _input(self) -> int | None:
        """Here `input_tokens` leaves out what was read from the cache or written to it."""
        fresh = self._most.get(_INPUT)
        if fresh is None:
            return None
        return token_count(fresh + self._most.get(_CACHE_READ, 0) + self._most.get(_CACHE_WRITE, 0))

    def _note(self, told: Mapping[str, object], *names: str) -> None:
        for name in names:
            count = token_count(told.get(name))
            if count is not None:
                self._most[name] = max(count, self._most.get(name, 0))
