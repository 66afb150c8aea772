"""The bus over Redis: every owner listens on a channel of its own, and whoever has word for it publishes there.

What everybody shall hear has a channel that all of them listen on.
"""

import logging
from contextlib import suppress
from typing import Final

import msgspec

from domain.ids import OwnerId
from domain.turns.bus import Inbox, Message
from infra.redis.client import NAMESPACE, RedisClient, RedisUnavailable

_EVERYBODY: Final = f"{NAMESPACE}everybody"
_DECODER: Final = msgspec.json.Decoder(Message)
_log = logging.getLogger(__name__)


class RedisBus:
    """Fills the ports Bus and Broadcast."""

    def __init__(self, client: RedisClient, owner: OwnerId, inbox: Inbox) -> None:
        self._client = client
        self._channel = _channel(owner)
        self._inbox = inbox
        self._listening = False

    @property
    def healthy(self) -> bool:
        return self._listening

    async def tell(self, owner: OwnerId, message: Message) -> None:
        await self._publish(_channel(owner), message)

    async def tell_all(self, message: Message) -> None:
        await self._publish(_EVERYBODY, message)

    async def listen(self) -> None:
        """Delivers what is told to this process, until Redis is lost. Call it again then."""
        try:
            with suppress(RedisUnavailable):
                async with self._client.subscribed(self._channel, _EVERYBODY) as subscription:
                    self._listening = True
                    while True:
                        self._deliver(await subscription.receive())
        finally:
            self._listening = False

    async def _publish(self, channel: str, message: Message) -> None:
        data = msgspec.json.encode(message)
        with suppress(RedisUnavailable):
            await self._client.call("publish", lambda redis: redis.publish(channel, data))

    def _deliver(self, data: bytes) -> None:
        try:
            message = _DECODER.decode(data)
        except (ValueError, RecursionError):
            # A newer process may know more kinds of messages than we do; and nobody may end our listening.
            _log.warning("bus_message_not_understood")
            return
        self._inbox.deliver(message)


def _channel(owner: OwnerId) -> str:
    return f"{NAMESPACE}owner:{owner}"
