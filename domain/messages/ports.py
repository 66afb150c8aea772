"""What the message use cases need from the store."""

from typing import Protocol

from domain.chats.ports import Chats
from domain.ids import ChatId
from domain.messages.models import Message
from domain.pagination import Page, PageQuery


class Messages(Protocol):
    """Sees the live messages of the scope's owner, nobody else's."""

    async def page(self, chat_id: ChatId, query: PageQuery) -> Page[Message]:
        """Without an order as they were said, `seq asc`. Raises InvalidCursor for keys of another kind."""
        ...


class MessageTx(Protocol):
    @property
    def chats(self) -> Chats: ...

    @property
    def messages(self) -> Messages: ...
