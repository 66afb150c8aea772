from hypothesis import given
from hypothesis import strategies as st

from domain.streaming.events import Delta, Numbered
from domain.streaming.tail import Tail


class NaiveTail:
    """What a tail promises, told by keeping everything."""

    def __init__(self) -> None:
        self.last = 0
        self.held: list[Numbered] = []

    def append(self, text: str) -> None:
        self.last += 1
        self.held.append((self.last, Delta("text", text)))

    def forget(self, through: int) -> None:
        self.held = [(number, event) for number, event in self.held if number > through]

    def since(self, number: int) -> list[Numbered]:
        return [(each, event) for each, event in self.held if each > number]


ACTIONS = st.lists(st.one_of(st.just("append"), st.integers(min_value=0, max_value=30)), max_size=60)


@given(actions=ACTIONS, position=st.integers(min_value=0, max_value=70))
def test_a_tail_answers_as_one_that_looks_at_every_event(actions: list[str | int], position: int) -> None:
    """An integer forgets through it; the position may be ahead of the newest or behind the oldest event."""
    tail, naive = Tail(), NaiveTail()
    for action in actions:
        if isinstance(action, str):
            tail.append(Delta("text", str(tail.last)))
            naive.append(str(naive.last))
        else:
            tail.forget(action)
            naive.forget(action)
        assert tail.last == naive.last
        assert tail.since(position) == naive.since(position)


def test_numbers_count_on_over_what_was_forgotten() -> None:
    tail = Tail()
    tail.append(Delta("text", "one"))
    tail.forget(1)
    tail.append(Delta("text", "two"))
    assert tail.since(0) == [(2, Delta("text", "two"))]
