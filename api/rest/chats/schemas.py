"""A chat on the wire (api.md 3.2, 3.3)."""

from typing import Annotated, Self

import msgspec
from msgspec import UNSET, Meta, UnsetType

from api.rest.page_out import PageOut
from api.rest.wire_types import Day, Id, Moment, given, present
from domain.chats.grouping import ChatGroup, GroupKey
from domain.chats.metadata import MAX_MEMBERS
from domain.chats.models import Chat
from domain.chats.service import ChatDraft, ChatPatch
from domain.clock import utc_text
from domain.errors import InvalidRequest

MAX_TITLE_CHARACTERS = 255

_Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
_Text = Annotated[str, Meta(max_length=512)]

Metadata = Annotated[dict[_Name, _Text], Meta(max_length=MAX_MEMBERS)]
MetadataPatch = dict[_Name, _Text | None]


class NewChatIn(msgspec.Struct, frozen=True, kw_only=True):
    title: str | None = None
    model: str | UnsetType = UNSET
    is_temporary: bool = False
    metadata: Metadata = msgspec.field(default_factory=dict)

    def draft(self) -> ChatDraft:
        """Raises InvalidRequest for a blank or over-long title."""
        return ChatDraft(
            model=given(self.model),
            title=None if self.title is None else trimmed_title(self.title),
            is_temporary=self.is_temporary,
            metadata=self.metadata,
        )


class ChatPatchIn(msgspec.Struct, frozen=True, kw_only=True):
    """`metadata` is a merge patch: null removes a member, and the others stay."""

    title: str | UnsetType = UNSET
    is_favorite: bool | UnsetType = UNSET
    metadata: MetadataPatch | UnsetType = UNSET

    def patch(self) -> ChatPatch:
        """Raises InvalidRequest when there is nothing to change, or for a blank or over-long title."""
        if self.title is UNSET and self.is_favorite is UNSET and self.metadata is UNSET:
            raise InvalidRequest.of("body", "At least one member to change is required.", "required")
        return ChatPatch(
            title=None if self.title is UNSET else trimmed_title(self.title),
            is_favorite=given(self.is_favorite),
            metadata=given(self.metadata),
        )


class ChatOut(msgspec.Struct, frozen=True, kw_only=True):
    id: Id
    model: str
    title: str | UnsetType = UNSET
    is_temporary: bool
    is_favorite: bool
    metadata: dict[str, str]
    message_count: int
    created_at: Moment
    updated_at: Moment
    last_message_preview: str | UnsetType = UNSET
    deleted_at: Moment | UnsetType = UNSET

    @classmethod
    def of(cls, chat: Chat) -> Self:
        return cls(
            id=str(chat.id),
            model=chat.model,
            title=UNSET if chat.title is None else chat.title,
            is_temporary=chat.is_temporary,
            is_favorite=chat.is_favorite,
            metadata=chat.metadata,
            message_count=chat.message_count,
            created_at=utc_text(chat.created_at),
            updated_at=utc_text(chat.updated_at),
            last_message_preview=present(chat.last_message_preview),
            deleted_at=UNSET if chat.deleted_at is None else utc_text(chat.deleted_at),
        )


class ChatGroupOut(msgspec.Struct, frozen=True, kw_only=True):
    key: GroupKey
    date: Day | UnsetType = UNSET
    ids: tuple[Id, ...]

    @classmethod
    def of(cls, group: ChatGroup) -> Self:
        day = UNSET if group.date is None else group.date.isoformat()
        return cls(key=group.key, date=day, ids=tuple(map(str, group.ids)))


class ChatPageOut(PageOut[ChatOut], frozen=True, kw_only=True):
    """`groups` is there when it was asked for; each id of the page stands in one of them."""

    groups: tuple[ChatGroupOut, ...] | UnsetType = UNSET


def trimmed_title(text: str) -> str:
    """Raises InvalidRequest unless 1 to 255 characters remain."""
    title = text.strip()
    if not title:
        raise InvalidRequest.of("title", "This must not be blank.", "blank")
    if len(title) > MAX_TITLE_CHARACTERS:
        raise InvalidRequest.of("title", f"At most {MAX_TITLE_CHARACTERS} characters.", "too_long")
    return title
