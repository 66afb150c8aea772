"""A message on the wire (api.md 3.2)."""

from typing import Literal, Self

import msgspec
from msgspec import UNSET, UnsetType

from api.rest.page_out import PageOut
from api.rest.wire_types import Id, Moment, present
from domain.clock import utc_text
from domain.messages.models import Message
from domain.providers.events import Citation


class MessageOut(msgspec.Struct, frozen=True, kw_only=True):
    """`seq` orders the messages of a chat; `partial` marks an answer that did not come to its end."""

    id: Id
    request_id: Id
    role: Literal["user", "assistant", "system"]
    content: str
    attachments: tuple[()] = ()
    my_reaction: None = None
    model: str | UnsetType = UNSET
    input_tokens: int | UnsetType = UNSET
    output_tokens: int | UnsetType = UNSET
    created_at: Moment
    seq: int
    status: Literal["complete", "partial"]
    finish_reason: str | UnsetType = UNSET
    citations: tuple[Citation, ...] | UnsetType = UNSET
    metadata: dict[str, str] | UnsetType = UNSET

    @classmethod
    def of(cls, message: Message) -> Self:
        return cls(
            id=str(message.id),
            request_id=str(message.request_id),
            role=message.role.value,
            content=message.content,
            model=present(message.model),
            input_tokens=message.input_tokens or UNSET,
            output_tokens=message.output_tokens or UNSET,
            created_at=utc_text(message.created_at),
            seq=message.seq,
            status="partial" if message.is_partial else "complete",
            finish_reason=present(message.finish_reason),
            citations=message.citations or UNSET,
            metadata=present(message.metadata),
        )


class MessagePageOut(PageOut[MessageOut], frozen=True, kw_only=True):
    pass
