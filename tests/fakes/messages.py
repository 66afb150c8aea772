"""The port Messages over tables in memory."""

from typing import Final

from anyio.lowlevel import checkpoint

from domain.ids import ChatId
from domain.messages.listing import MESSAGE_LIST
from domain.messages.models import Message
from domain.pagination import Page, PageQuery
from tests.fakes.paging import MemoryList
from tests.fakes.tables import View

_LIST: Final = MemoryList[Message](shape=MESSAGE_LIST, value_of=lambda message, field: getattr(message, field.name))


class MemoryMessages:
    def __init__(self, view: View) -> None:
        self._view = view

    async def page(self, chat_id: ChatId, query: PageQuery) -> Page[Message]:
        await checkpoint()
        if self._view.live_chat(chat_id) is None:
            return _LIST.page([], query)
        live = [
            record.message
            for record in self._view.tables.messages.values()
            if record.chat_id == chat_id and record.deleted_at is None
        ]
        return _LIST.page(live, query)
