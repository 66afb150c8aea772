"""Cancels a piece of work exactly at its n-th await."""

from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Stepped(Generic[T]):
    """Await it in place of `work`: `cancel` is called when `work` is about to wait for the `at`-th time.

    `awaits` tells how often it has waited; below `at` it ended before its turn came.
    """

    def __init__(self, work: Coroutine[Any, Any, T], at: int, cancel: Callable[[], object]) -> None:
        self.awaits = 0
        self._work = work
        self._at = at
        self._cancel = cancel

    def __await__(self) -> Generator[Any, Any, T]:
        thrown: BaseException | None = None
        while True:
            try:
                awaited = self._work.send(None) if thrown is None else self._work.throw(thrown)
            except StopIteration as end:
                result: T = end.value
                return result
            self.awaits += 1
            if self.awaits == self._at:
                self._cancel()
            try:
                yield awaited
            except BaseException as error:  # noqa: BLE001 - handed on to the work, as an await would
                thrown = error
            else:
                thrown = None
