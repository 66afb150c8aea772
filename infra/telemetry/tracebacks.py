"""An exception as log fields: its type and where it came from, never its message.

A message may quote what was being handled, such as a row of the database or a piece of a prompt.
"""

import traceback
from collections.abc import Iterator

import msgspec

MAX_ERRORS = 8
MAX_FRAMES = 25


class LoggedError(msgspec.Struct, frozen=True):
    """`at` lists `file:line function`, innermost last."""

    type: str
    at: tuple[str, ...]


def logged_errors(error: BaseException) -> tuple[LoggedError, ...]:
    """The error, those it was raised from, and the members of groups; bounded."""
    found = []
    for one in _related(error, set()):
        found.append(LoggedError(f"{type(one).__module__}.{type(one).__qualname__}", _frames(one)))
        if len(found) == MAX_ERRORS:
            break
    return tuple(found)


def _related(error: BaseException, seen: set[int]) -> Iterator[BaseException]:
    if id(error) in seen:
        return
    seen.add(id(error))
    yield error
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _related(member, seen)
    origin = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if origin is not None:
        yield from _related(origin, seen)


def _frames(error: BaseException) -> tuple[str, ...]:
    frames = traceback.extract_tb(error.__traceback__)[-MAX_FRAMES:]
    return tuple(f"{'/'.join(frame.filename.split('/')[-3:])}:{frame.lineno} {frame.name}" for frame in frames)
