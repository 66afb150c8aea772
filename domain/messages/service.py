"""Reading the messages of a chat; only turns write them."""

from domain.auth.policy import Action, Policy
from domain.errors import ChatNotFound
from domain.ids import ChatId
from domain.messages.models import Message
from domain.messages.ports import MessageTx
from domain.pagination import Page, PageQuery
from domain.scope import scope_for
from domain.subject import Subject
from domain.unit_of_work import Access, UnitOfWork


class MessageService:
    def __init__(self, begin: UnitOfWork[MessageTx], policy: Policy) -> None:
        self._begin = begin
        self._policy = policy

    async def list(self, who: Subject, chat_id: ChatId, query: PageQuery) -> Page[Message]:
        """Live messages in order, those of unfinished turns included. Raises ChatNotFound, InvalidCursor."""
        self._policy.require(who, Action.LIST_MESSAGES)
        async with self._begin(scope_for(who), Access.LIST) as tx:
            if await tx.chats.get(chat_id) is None:
                raise ChatNotFound
            return await tx.messages.page(chat_id, query)
