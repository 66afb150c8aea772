"""What was said in a chat."""

from datetime import datetime
from enum import StrEnum

import msgspec

from domain.ids import MessageId, RequestId
from domain.providers.events import Citation, Finish


class Role(StrEnum):
    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """`seq` orders the messages of a chat; `is_partial` marks an answer that did not come to its end."""

    id: MessageId
    request_id: RequestId
    role: Role
    content: str
    seq: int
    is_partial: bool
    created_at: datetime
    model: str | None = None
    finish_reason: Finish | None = None
    citations: tuple[Citation, ...] = ()
    metadata: dict[str, str] | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
