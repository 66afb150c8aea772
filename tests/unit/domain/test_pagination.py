from datetime import UTC, datetime
from uuid import UUID

import pytest

from domain.filters import Field, Kind, OrderKey, Value
from domain.pagination import Position, Travel

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ORDER = (OrderKey(Field("title", Kind.STRING, nullable=True)), OrderKey(Field("id", Kind.UUID), descending=True))


@pytest.mark.parametrize(("travel", "written"), [(Travel.FORWARD, "f"), (Travel.BACKWARD, "b")])
def test_cursors_in_the_field_keep_their_direction(travel: Travel, written: str) -> None:
    assert Travel(written) is travel


@pytest.mark.parametrize(
    ("keys", "fits"),
    [
        (("a", UUID(int=1)), True),
        ((None, UUID(int=1)), True),
        (("a", None), False),
        (("a",), False),
        (("a", UUID(int=1), 1), False),
        ((UUID(int=1), "a"), False),
        (("a", str(UUID(int=1))), False),
        ((), False),
    ],
)
def test_a_position_fits_an_order_whose_fields_admit_its_keys(keys: tuple[Value, ...], fits: bool) -> None:
    assert Position(keys=keys, travel=Travel.FORWARD).fits(ORDER) is fits


SOME_OF_EACH: dict[Kind, list[Value]] = {
    Kind.STRING: ["", "a"],
    Kind.UUID: [UUID(int=0)],
    Kind.TIME: [NOON],
    Kind.INTEGER: [0, 1, 2**63 - 1, -(2**63)],
    Kind.BOOL: [True, False],
}


@pytest.mark.parametrize("kind", Kind)
def test_a_field_admits_values_of_its_kind_alone(kind: Kind) -> None:
    field = Field("any", kind)
    for other, values in SOME_OF_EACH.items():
        assert all(field.admits(value) is (other is kind) for value in values)
    assert not field.admits(None)
    assert Field("any", kind, nullable=True).admits(None)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1])
def test_an_integer_has_64_bits(value: int) -> None:
    assert not Field("any", Kind.INTEGER).admits(value)


def test_a_time_without_a_zone_is_none() -> None:
    assert not Field("any", Kind.TIME).admits(NOON.replace(tzinfo=None))
