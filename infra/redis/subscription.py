"""The messages of some channels, and the certainty that silence means no messages."""

from collections.abc import Sequence
from typing import Final, Self

import anyio
from redis.asyncio.client import PubSub

_QUIET_S: Final = 1.0


class SubscriptionLost(Exception):
    """The server stays silent when asked; messages may have been lost."""


class Subscription:
    def __init__(self, pubsub: PubSub, timeout_s: float) -> None:
        self._pubsub = pubsub
        self._timeout_s = timeout_s

    @classmethod
    async def begun(cls, pubsub: PubSub, channels: Sequence[str], timeout_s: float) -> Self:
        """Returns once the server has confirmed all: what is published from then on will be received."""
        await pubsub.subscribe(*channels)
        for _ in channels:
            while (told := await pubsub.get_message(timeout=timeout_s)) is None or told["type"] != "subscribe":
                pass
        return cls(pubsub, timeout_s)

    async def receive(self) -> bytes:
        """The next message. After each quiet second the server is asked whether it is still there.

        Raises SubscriptionLost when it does not say so within the timeout, and the client's errors.
        """
        asked = False
        while True:
            patience_s = self._timeout_s if asked else _QUIET_S
            told = await self._pubsub.get_message(timeout=patience_s)
            if told is not None and told["type"] == "message":
                data: bytes = told["data"]
                return data
            if told is None and asked:
                raise SubscriptionLost
            asked = told is None
            if asked:
                with anyio.fail_after(self._timeout_s):
                    await self._pubsub.ping()
