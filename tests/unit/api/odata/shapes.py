"""A list with a field of each kind, nullable and not."""

from typing import Final

from domain.filters import Field, Kind, ListShape, OrderKey

KEY: Final = Field("key", Kind.INTEGER)

SHAPE: Final = ListShape(
    fields=(
        KEY,
        *(Field(f"{kind.value}_field", kind) for kind in Kind),
        *(Field(f"{kind.value}_or_null", kind, nullable=True) for kind in Kind),
    ),
    unique=KEY,
    default_order=(OrderKey(KEY),),
)


def field(name: str) -> Field:
    found = SHAPE.find(name)
    assert found is not None
    return found


def required(kind: Kind) -> Field:
    return field(f"{kind.value}_field")


def nullable(kind: Kind) -> Field:
    return field(f"{kind.value}_or_null")
