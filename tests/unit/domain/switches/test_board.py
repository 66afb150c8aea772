import pytest

from domain.errors import GenerationDisabled, ServiceUnavailable
from domain.switches.board import Switchboard
from domain.switches.models import SwitchScope, Wants
from domain.switches.ports import Standing
from tests.unit.domain.switches.samples import NOW, TENANT, a_switch

OFF = a_switch(SwitchScope.GLOBAL, None)


class Reader:
    """Answers with what stands, or fails."""

    def __init__(self) -> None:
        self.stands: Standing | None = None

    async def standing(self, known: int | None) -> Standing | None:
        if self.stands is None:
            raise ServiceUnavailable
        return None if self.stands.revision == known else self.stands


def standing(revision: int, *switches: object) -> Standing:
    return Standing(revision=revision, switches=[OFF] if switches else [], age_s=0.5)


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def board(reader: Reader) -> Switchboard:
    return Switchboard(reader)


async def test_a_board_that_was_never_read_says_so(board: Switchboard) -> None:
    assert not board.is_known


async def test_nothing_is_admitted_before_the_switches_were_read(reader: Reader, board: Switchboard) -> None:
    with pytest.raises(ServiceUnavailable):
        await board.refresh()
    with pytest.raises(ServiceUnavailable):
        _ = board.state
    reader.stands = standing(0)
    assert await board.refresh() is None
    assert board.is_known
    board.state.refuse(TENANT, Wants(), NOW)


async def test_what_was_known_holds_while_it_cannot_be_read_again(reader: Reader, board: Switchboard) -> None:
    reader.stands = standing(1, OFF)
    await board.refresh()
    reader.stands = None
    with pytest.raises(ServiceUnavailable):
        await board.refresh()
    with pytest.raises(GenerationDisabled):
        board.state.refuse(TENANT, Wants(), NOW)


async def test_news_are_told_once(reader: Reader, board: Switchboard) -> None:
    reader.stands = standing(1)
    assert await board.refresh() is None
    reader.stands = standing(2, OFF)
    assert await board.refresh() == reader.stands
    assert await board.refresh() is None


async def test_an_older_state_never_takes_the_place_of_a_newer_one(reader: Reader, board: Switchboard) -> None:
    reader.stands = standing(5, OFF)
    await board.refresh()
    reader.stands = standing(4)
    assert await board.refresh() is None
    with pytest.raises(GenerationDisabled):
        board.state.refuse(TENANT, Wants(), NOW)
