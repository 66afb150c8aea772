"""What the chat use cases need from the store and from the engine."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Protocol

from domain.audit.ports import EventTx
from domain.chats.models import Chat, ChatChange, Deletion, NewChat, RunningTurn
from domain.ids import ChatId
from domain.pagination import Page, PageQuery
from domain.scope import AccessScope


class Chats(Protocol):
    """Sees the live chats of the scope's owner, nobody else's."""

    async def add(self, chat_id: ChatId, chat: NewChat) -> Chat: ...

    async def get(self, chat_id: ChatId) -> Chat | None: ...

    async def page(self, query: PageQuery, *, preview: bool = False) -> Page[Chat]:
        """Without an order in the query: newest activity first. Raises InvalidCursor for keys of another order.

        `preview`: with the beginning of the newest live message of each chat.
        """
        ...

    async def restorable_page(self, query: PageQuery, window: timedelta, *, preview: bool = False) -> Page[Chat]:
        """Like `page`, of the chats that `restore` would bring back."""
        ...

    async def lock(self, chat_id: ChatId) -> Chat | None:
        """Like `get`, and until the end of the transaction nobody else changes the chat."""
        ...

    async def change(self, chat_id: ChatId, change: ChatChange) -> Chat | None:
        """None when there is no such chat. Only a new title counts as activity."""
        ...

    async def soft_delete(self, chat_id: ChatId) -> Deletion | None:
        """Hides the chat and flags its running turn, if any, for cancellation; None when there is no such chat."""
        ...

    async def restore(self, chat_id: ChatId, window: timedelta) -> Chat | None:
        """Brings back a chat that was deleted less than `window` ago and is not temporary; None if it is no such chat.

        Everything in it is as it was; what its deletion cancelled stays cancelled. Counts as no activity.
        """
        ...


class ChatTx(EventTx, Protocol):
    @property
    def chats(self) -> Chats: ...


StopTurn = Callable[[AccessScope, RunningTurn], Awaitable[None]]
"""Tells a turn, wherever it runs, that its chat is gone. Returns soon and raises nothing: its row says so too."""
