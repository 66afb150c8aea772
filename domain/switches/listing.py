"""What the list of kill switches can be filtered and ordered by."""

from typing import Final

from domain.filters import Field, Kind, ListShape, OrderKey

_ID: Final = Field("id", Kind.UUID)
_CREATED_AT: Final = Field("created_at", Kind.TIME)

SWITCH_LIST: Final = ListShape(
    fields=(
        _ID,
        Field("scope", Kind.STRING),
        Field("target", Kind.STRING, nullable=True),
        Field("mode", Kind.STRING),
        _CREATED_AT,
        Field("expires_at", Kind.TIME, nullable=True),
    ),
    unique=_ID,
    default_order=(OrderKey(_CREATED_AT, descending=True), OrderKey(_ID, descending=True)),
)
