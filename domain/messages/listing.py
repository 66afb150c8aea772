"""What lists of messages can be filtered and ordered by (api.md 2.3)."""

from typing import Final

from domain.filters import Field, Kind, ListShape, OrderKey

_SEQ: Final = Field("seq", Kind.INTEGER)

MESSAGE_LIST: Final = ListShape(
    fields=(
        Field("id", Kind.UUID),
        Field("role", Kind.STRING),
        Field("created_at", Kind.TIME),
        _SEQ,
        Field("model", Kind.STRING, nullable=True),
    ),
    unique=_SEQ,
    default_order=(OrderKey(_SEQ),),
)
