"""What the list of dead jobs can be filtered and ordered by."""

from typing import Final

from domain.filters import Field, Kind, ListShape, OrderKey

_ID: Final = Field("id", Kind.INTEGER)
_DIED_AT: Final = Field("died_at", Kind.TIME)

DEAD_JOB_LIST: Final = ListShape(
    fields=(
        _ID,
        Field("queue", Kind.STRING),
        Field("tenant_id", Kind.UUID),
        Field("attempts", Kind.INTEGER),
        Field("error_code", Kind.STRING, nullable=True),
        Field("created_at", Kind.TIME),
        _DIED_AT,
    ),
    unique=_ID,
    default_order=(OrderKey(_DIED_AT, descending=True), OrderKey(_ID, descending=True)),
)
