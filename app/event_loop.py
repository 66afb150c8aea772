"""The event loop a process runs in."""

from collections.abc import Awaitable, Callable
from typing import TypeVarTuple

import anyio

_Args = TypeVarTuple("_Args")


def run(main: Callable[[*_Args], Awaitable[None]], *args: *_Args) -> None:
    """uvloop, started by anyio, which then need not find out at every scope and timeout which library runs it."""
    anyio.run(main, *args, backend_options={"use_uvloop": True})
