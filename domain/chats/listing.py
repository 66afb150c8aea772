"""What lists of chats can be filtered and ordered by (api.md 2.3)."""

from typing import Final

from domain.filters import Field, Kind, ListShape, OrderKey

_ID: Final = Field("id", Kind.UUID)
_UPDATED_AT: Final = Field("updated_at", Kind.TIME)

CHAT_LIST: Final = ListShape(
    fields=(
        _ID,
        Field("title", Kind.STRING, nullable=True),
        Field("created_at", Kind.TIME),
        _UPDATED_AT,
        Field("model", Kind.STRING),
        Field("is_favorite", Kind.BOOL),
        Field("is_temporary", Kind.BOOL),
    ),
    unique=_ID,
    default_order=(OrderKey(_UPDATED_AT, descending=True), OrderKey(_ID, descending=True)),
)
