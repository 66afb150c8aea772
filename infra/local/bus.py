"""The bus of processes that share a loop, which is one process or a test of several."""

from domain.ids import OwnerId
from domain.turns.bus import Inbox, Message


class Exchange:
    """Where the owners of one loop find each other."""

    def __init__(self) -> None:
        self.inboxes: dict[OwnerId, Inbox] = {}


class LocalBus:
    """Fills the ports Bus and Broadcast. Never healthy, because it hears nothing from processes elsewhere."""

    def __init__(self, exchange: Exchange, owner: OwnerId, inbox: Inbox) -> None:
        self._exchange = exchange
        exchange.inboxes[owner] = inbox

    @property
    def healthy(self) -> bool:
        return False

    async def tell(self, owner: OwnerId, message: Message) -> None:
        inbox = self._exchange.inboxes.get(owner)
        if inbox is not None:
            inbox.deliver(message)

    async def tell_all(self, message: Message) -> None:
        for inbox in self._exchange.inboxes.values():
            inbox.deliver(message)
