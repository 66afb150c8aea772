"""A model that says what the test tells it to, piece by piece."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import anyio

from domain.providers.events import Completed, Finish, ProviderEvent, TextDelta
from domain.providers.request import ProviderRequest
from domain.turns.service import Conversation
from tests.fakes.providers import FunctionProvider


class Spoken(FunctionProvider):
    """Each turn waits for `say` after `say`, until it is `finish`ed; for one turn at a time."""

    def __init__(self) -> None:
        self._pieces: asyncio.Queue[str] = asyncio.Queue()

        async def play(request: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
            while piece := await self._pieces.get():
                yield [TextDelta(piece)]
            yield [Completed(finish=Finish.STOP)]

        super().__init__(play)

    async def say(self, piece: str, conversation: Conversation) -> None:
        """Returns once the reader of the conversation has it, so that the transcript has it too."""
        before = len(piece)
        self._pieces.put_nowait(piece)
        with anyio.fail_after(5):
            while before > 0:
                for _, event in await conversation.reader.receive():
                    before -= len(getattr(event, "content", ""))

    def finish(self) -> None:
        self._pieces.put_nowait("")
