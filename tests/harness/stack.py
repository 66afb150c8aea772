"""How deep calls may go."""

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def little_stack(frames: int) -> Iterator[None]:
    """No more than so many calls inside one another, beyond those that are open already."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + frames)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)
