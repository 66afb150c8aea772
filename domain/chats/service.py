"""Create, read, list, change, soft-delete and restore chats."""

from collections.abc import Mapping
from datetime import timedelta, tzinfo
from typing import Final

import msgspec

from domain.audit.events import About, Actor, EventType, NewEvent, audit_event
from domain.auth.policy import Action, Policy
from domain.catalogue.ports import Catalogue
from domain.catalogue.resolver import choose_for_chat
from domain.chats.grouping import ChatGroup, grouped
from domain.chats.metadata import merged
from domain.chats.models import Chat, ChatChange, NewChat
from domain.chats.ports import ChatTx, StopTurn
from domain.clock import Clock
from domain.errors import ChatNotFound
from domain.ids import ChatId, uuid7
from domain.pagination import Page, PageQuery
from domain.scope import scope_for
from domain.subject import Subject
from domain.unit_of_work import Access, UnitOfWork

RESTORABLE_FOR: Final = timedelta(days=30)


class ChatDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A chat as asked for: the model may be left to the catalogue."""

    model: str | None = None
    title: str | None = None
    is_temporary: bool = False
    metadata: dict[str, str] = msgspec.field(default_factory=dict)

    def resolved(self, catalogue: Catalogue) -> NewChat:
        """Raises InvalidModel when the model asked for is unknown or disabled."""
        return NewChat(
            model=choose_for_chat(catalogue.models(), self.model).id,
            title=self.title,
            is_temporary=self.is_temporary,
            metadata=self.metadata,
        )


class ChatPatch(msgspec.Struct, frozen=True, kw_only=True):
    """A change as asked for; None leaves a member as it is. `metadata` is a merge patch, where null removes."""

    title: str | None = None
    is_favorite: bool | None = None
    metadata: Mapping[str, str | None] | None = None


class ChatService:
    """`restorable_for` is how long a deleted chat can be restored; zero turns restoring off."""

    def __init__(
        self,
        begin: UnitOfWork[ChatTx],
        policy: Policy,
        catalogue: Catalogue,
        stop_turn: StopTurn,
        clock: Clock,
        restorable_for: timedelta = RESTORABLE_FOR,
    ) -> None:
        self._begin = begin
        self._policy = policy
        self._catalogue = catalogue
        self._stop_turn = stop_turn
        self._clock = clock
        self._restorable_for = restorable_for

    async def create(self, who: Subject, draft: ChatDraft) -> Chat:
        """Raises InvalidModel. The model is fixed for the life of the chat."""
        self._policy.require(who, Action.CREATE_CHAT)
        chat = draft.resolved(self._catalogue)
        chat_id = ChatId(uuid7(self._clock.now()))
        created = self._event(
            EventType.CHAT_CREATED, who, chat_id, {"model": chat.model, "is_temporary": chat.is_temporary}
        )
        async with self._begin(scope_for(who)) as tx:
            await tx.events.add(created)
            return await tx.chats.add(chat_id, chat)

    async def get(self, who: Subject, chat_id: ChatId) -> Chat:
        """Raises ChatNotFound."""
        self._policy.require(who, Action.READ_CHAT)
        async with self._begin(scope_for(who), Access.READ) as tx:
            chat = await tx.chats.get(chat_id)
        if chat is None:
            raise ChatNotFound
        return chat

    async def list(self, who: Subject, query: PageQuery, *, deleted: bool = False, preview: bool = False) -> Page[Chat]:
        """The user's live chats, or the deleted ones that can be restored. Raises InvalidCursor."""
        self._policy.require(who, Action.LIST_CHATS)
        async with self._begin(scope_for(who), Access.LIST) as tx:
            if deleted:
                return await tx.chats.restorable_page(query, self._restorable_for, preview=preview)
            return await tx.chats.page(query, preview=preview)

    def grouped(self, page: Page[Chat], zone: tzinfo) -> tuple[ChatGroup, ...]:
        """The chats of a page by how long ago they were active, today being the day it is in the zone."""
        return grouped(page.items, self._clock.now(), zone)

    async def change(self, who: Subject, chat_id: ChatId, patch: ChatPatch) -> Chat:
        """Raises ChatNotFound, and InvalidRequest when the metadata would become too many.

        Patches at the same time all take effect, member by member.
        """
        self._policy.require(who, Action.UPDATE_CHAT)
        async with self._begin(scope_for(who)) as tx:
            metadata = None if patch.metadata is None else await _patched(tx, chat_id, patch.metadata)
            change = ChatChange(title=patch.title, is_favorite=patch.is_favorite, metadata=metadata)
            chat = await tx.chats.change(chat_id, change)
            if chat is not None and change.title is not None:
                await tx.events.add(self._event(EventType.CHAT_RENAMED, who, chat_id))
        if chat is None:
            raise ChatNotFound
        return chat

    async def delete(self, who: Subject, chat_id: ChatId) -> None:
        """Afterwards the chat is gone for every route and its running turn is being cancelled. Raises ChatNotFound.

        The flag in the row reaches its owner in any case; the direct word only saves time.
        """
        self._policy.require(who, Action.DELETE_CHAT)
        scope = scope_for(who)
        async with self._begin(scope) as tx:
            deletion = await tx.chats.soft_delete(chat_id)
            if deletion is not None:
                await tx.events.add(self._event(EventType.CHAT_DELETED, who, chat_id))
        if deletion is None:
            raise ChatNotFound
        if deletion.running_turn is not None:
            await self._stop_turn(scope, deletion.running_turn)

    async def restore(self, who: Subject, chat_id: ChatId) -> Chat:
        """The chat with everything that was live when it was deleted; a live one is left alone. Raises ChatNotFound."""
        self._policy.require(who, Action.RESTORE_CHAT)
        async with self._begin(scope_for(who)) as tx:
            chat = await tx.chats.restore(chat_id, self._restorable_for)
            if chat is not None:
                await tx.events.add(self._event(EventType.CHAT_RESTORED, who, chat_id))
            else:
                chat = await tx.chats.get(chat_id)
        if chat is None:
            raise ChatNotFound
        return chat

    def _event(
        self, event_type: EventType, who: Subject, chat_id: ChatId, details: Mapping[str, object] | None = None
    ) -> NewEvent:
        about = About(chat_id=chat_id)
        return audit_event(event_type, scope_for(who), Actor.of(who), self._clock.now(), about, details=details)


async def _patched(tx: ChatTx, chat_id: ChatId, patch: Mapping[str, str | None]) -> dict[str, str]:
    """Under the lock of the chat: another patch waits, and then sees this one's outcome. Raises ChatNotFound."""
    chat = await tx.chats.lock(chat_id)
    if chat is None:
        raise ChatNotFound
    return merged(chat.metadata, patch)
