"""One actor with one reader, played by a function and settled in memory."""

from collections.abc import Awaitable, Callable

import anyio

from domain.clock import SystemClock
from domain.providers.ports import Provider
from domain.streaming.actor import TurnActor
from domain.streaming.channel import Receiver
from domain.streaming.events import Numbered, StreamEvent
from domain.streaming.fallback import Fallback
from domain.streaming.feed import Feed
from domain.streaming.models import StopReason, StreamLimits
from domain.streaming.transcript import Transcript
from domain.telemetry.ports import SilentTelemetry
from tests.fakes.providers import FunctionProvider
from tests.fakes.turns import REQUEST, MemoryBooks, a_brief


class OneTurn:
    """`events` is what its reader has got so far. A reader that leaves cancels the turn, as by default."""

    def __init__(
        self,
        provider: FunctionProvider,
        *,
        books: MemoryBooks | None = None,
        limits: StreamLimits | None = None,
        called: Provider | None = None,
        fallback: Fallback | None = None,
    ) -> None:
        limits = limits or StreamLimits()
        clock = SystemClock()
        self.provider = provider
        self.books = books or MemoryBooks()
        self.numbered: list[Numbered] = []
        self.returned = False
        feed = Feed(limits.capacity, lambda: self.actor.stop(StopReason.DISCONNECT))
        self.actor = TurnActor(
            a_brief(),
            called or provider,
            REQUEST,
            Transcript(clock.monotonic, limits.max_text_bytes, exposes_reasoning=False),
            feed,
            self.books,
            limits,
            SilentTelemetry(),
            clock.monotonic,
            fallback,
        )
        self.reader: Receiver = feed.attach(limits.reader_deadline)
        self.actor.begin()

    @property
    def events(self) -> list[StreamEvent]:
        return [event for _, event in self.numbered]

    async def run(self, *, after: int = 0, then: Callable[[], object] = lambda: None) -> list[StreamEvent]:
        """Everything the reader is told; `then` is called once it has got `after` events.

        Fails when anything but a return leaves the actor: its task group would end every other turn.
        """
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._act)
            while not self.reader.ended:
                before = len(self.numbered)
                self.numbered.extend(await self.reader.receive())
                if before < after <= len(self.numbered):
                    then()
        assert self.returned
        return self.events

    async def _act(self) -> None:
        await self.actor.run()
        self.returned = True


def held(*, after: int) -> Callable[[], Awaitable[None]]:
    """A gate that lets so many through and none ever after."""
    passed = 0

    async def gate() -> None:
        nonlocal passed
        passed += 1
        if passed > after:
            await anyio.sleep_forever()

    return gate
