from hypothesis import given
from hypothesis import strategies as st

from domain.streaming.events import Delta, StreamEvent
from domain.streaming.packed_events import PackedDeltas, packed, unpacked
from tests.unit.domain.streaming.samples import CITATIONS

DELTAS = st.builds(Delta, st.sampled_from(["text", "reasoning"]), st.text(min_size=1, max_size=9))
EVENTS = st.lists(DELTAS | st.just(CITATIONS), min_size=1, max_size=70)


@given(events=EVENTS)
def test_what_was_packed_is_unpacked_as_it_was(events: list[StreamEvent]) -> None:
    assert unpacked(packed(list(events))) == events


def test_deltas_of_one_type_are_packed_and_others_are_left_alone() -> None:
    said, thought = Delta("text", "a"), Delta("reasoning", "b")
    assert isinstance(packed([said, said]), PackedDeltas)
    assert isinstance(packed([thought]), PackedDeltas)
    assert packed([said, thought]) == [said, thought]
    assert packed([said, CITATIONS]) == [said, CITATIONS]
