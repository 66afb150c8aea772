"""A model that does what the message asks of it, on whatever replica the turn runs."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from enum import StrEnum

import anyio
from anyio.lowlevel import checkpoint

from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.events import Completed, Failed, Finish, ProviderEvent, TextDelta
from domain.providers.request import ProviderRequest, UserText
from tests.fakes.providers import FunctionProvider


class Ask(StrEnum):
    TALK = "talk"
    WAIT = "wait"
    HANG = "hang"
    FAIL = "fail"
    BREAK_OFF = "break_off"
    CRASH = "crash"


class ByContent(FunctionProvider):
    """The first word of the message is an Ask. `calls` counts by message; `release` lets one that waits go on."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self._gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        super().__init__(self._answer)

    def release(self, content: str) -> None:
        self._gates[content].set()

    async def _answer(self, request: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        content = _asked(request)
        self.calls[content] += 1
        ask = Ask(content.split()[0])
        if ask is Ask.HANG:
            await anyio.sleep_forever()
        yield [TextDelta("one ")]
        await checkpoint()
        yield [TextDelta("two "), TextDelta("three ")]
        if ask is Ask.CRASH:
            raise LookupError("the adapter has a bug")
        if ask is Ask.WAIT:
            await self._gates[content].wait()
        if ask is Ask.FAIL:
            yield [Failed(failure=ProviderFailure(kind=FailureKind.SERVER_ERROR))]
        elif ask is not Ask.BREAK_OFF:
            yield [TextDelta("four."), Completed(finish=Finish.STOP)]


def _asked(request: ProviderRequest) -> str:
    last = request.items[-1]
    assert isinstance(last, UserText)
    return last.text
