import msgspec
import pytest

from domain.pagination import Position, Travel

POSITION = Position(keys=("2026-01-01T10:00:00.000000Z", "id"), travel=Travel.BACKWARD)


def test_a_position_survives_being_written_down() -> None:
    written = msgspec.json.encode(POSITION)
    assert msgspec.json.decode(written, type=Position) == POSITION


@pytest.mark.parametrize(("travel", "written"), [(Travel.FORWARD, "f"), (Travel.BACKWARD, "b")])
def test_cursors_in_the_field_keep_their_direction(travel: Travel, written: str) -> None:
    assert Travel(written) is travel
