"""The port Messages over tables in memory."""

from typing import Final

from anyio.lowlevel import checkpoint

from domain.ids import ChatId
from domain.messages.models import Message
from domain.pagination import Page, PageQuery
from tests.fakes.paging import ListOrder
from tests.fakes.tables import View

_MOST_DIGITS: Final = 18


def _parse_keys(keys: tuple[str, ...]) -> tuple[int]:
    (seq,) = keys
    if not seq.isascii() or not seq.isdecimal() or len(seq) > _MOST_DIGITS:
        raise ValueError
    return (int(seq),)


_AS_SAID: Final = ListOrder[Message](keys_of=lambda message: (str(message.seq),), parse=_parse_keys, descending=False)


class MemoryMessages:
    def __init__(self, view: View) -> None:
        self._view = view

    async def page(self, chat_id: ChatId, query: PageQuery) -> Page[Message]:
        await checkpoint()
        if self._view.live_chat(chat_id) is None:
            return _AS_SAID.page([], query)
        live = [
            record.message
            for record in self._view.tables.messages.values()
            if record.chat_id == chat_id and record.deleted_at is None
        ]
        return _AS_SAID.page(live, query)
