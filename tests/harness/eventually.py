"""Waiting for a state that rings no event: a remote one, a row, a file."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

T = TypeVar("T")

_POLL_SECONDS = 0.02


async def eventually(look: Callable[[], Awaitable[T]], *, within_s: float = 5) -> T:
    """The first result of `look` that is true. Raises TimeoutError when none is in time."""
    with anyio.fail_after(within_s):
        while not (result := await look()):  # noqa: ASYNC110 -- what is waited for rings no event
            await anyio.sleep(_POLL_SECONDS)
    return result


async def until(condition: Callable[[], bool], *, within_s: float = 5) -> None:
    """Raises TimeoutError when the condition is not met in time."""
    with anyio.fail_after(within_s):
        while not condition():  # noqa: ASYNC110 -- what is waited for rings no event
            await anyio.sleep(_POLL_SECONDS)
