"""What summaries need from the store."""

from typing import Protocol

from domain.ids import ChatId
from domain.jobs.ports import JobTx
from domain.summaries.models import Material, NewSummary
from domain.system_calls.ports import SystemCallTx


class ThreadSummaries(Protocol):
    """Sees the chats of the scope's user, nobody else's."""

    async def material(self, chat_id: ChatId, target_seq: int, message_chars: int) -> Material | None:
        """Turns whose end lies within `target_seq`, the oldest ones first and not more than one job can want.

        One character more than `message_chars` tells that a text is longer. None without such a live chat.
        """
        ...

    async def put(self, chat_id: ChatId, summary: NewSummary) -> bool:
        """False, and nothing has changed, when the chat is gone, the summary is no longer the one that was seen, or a
        turn it is made of was removed: as no removal comes in between, none of its words is stored.
        """
        ...


class SummaryTx(SystemCallTx, JobTx, Protocol):
    @property
    def summaries(self) -> ThreadSummaries: ...
