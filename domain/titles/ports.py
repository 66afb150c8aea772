"""What titles need from the store."""

from typing import Protocol

from domain.ids import ChatId
from domain.system_calls.ports import SystemCallTx
from domain.titles.models import Beginning, GeneratedTitle


class Titles(Protocol):
    """Sees the live chats of the scope's owner, nobody else's."""

    async def beginning(self, chat_id: ChatId) -> Beginning | None:
        """In one read; None when there is no such chat."""
        ...

    async def put(self, chat_id: ChatId, title: GeneratedTitle) -> bool:
        """Whatever the title was; False when there is no such chat. Counts as activity."""
        ...

    async def put_if_open(self, chat_id: ChatId, title: GeneratedTitle, seen: Beginning) -> bool:
        """Unless a user or a model has named it meanwhile, or it is gone, or it no longer begins with what was seen.

        Counts as no activity.
        """
        ...


class TitleTx(SystemCallTx, Protocol):
    @property
    def titles(self) -> Titles: ...
