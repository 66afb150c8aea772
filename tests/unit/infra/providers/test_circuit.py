import pytest

from infra.providers.circuit import Circuit, CircuitRules, CircuitState, Fate, Passage

RULES = CircuitRules(window_s=30, unreached=3, calls=4, bad_share=0.5, open_s=10, probes=2)
CLOSED, HALF_OPEN, OPEN = CircuitState.CLOSED, CircuitState.HALF_OPEN, CircuitState.OPEN


class Stand:
    """A circuit whose time is told by the test."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.circuit = Circuit(RULES, lambda: self.now)

    def call(self, fate: Fate) -> None:
        self.enter().ends(fate)

    def enter(self) -> Passage:
        passage = self.circuit.enter()
        assert passage is not None
        return passage

    def opened(self) -> "Stand":
        for _ in range(RULES.unreached):
            self.call(Fate.UNREACHED)
        assert self.circuit.state is OPEN
        return self


A, F, U, N = Fate.ANSWERED, Fate.FAILED, Fate.UNREACHED, Fate.UNKNOWN


@pytest.mark.parametrize(
    ("fates", "state"),
    [
        ([], CLOSED),
        ([U, U], CLOSED),
        ([U, U, U], OPEN),
        ([U, U, A, U], OPEN),  # half of four
        ([U, U, N, U], OPEN),
        ([U, A, U, A, A, U], OPEN),
        ([A, A, A, U, F, A, U], CLOSED),
        ([F, F, F], CLOSED),
        ([F, F, F, F], OPEN),
        ([A, F, A, F], OPEN),
        ([A, A, A, F], CLOSED),
        ([A] * 50, CLOSED),
        ([N] * 50, CLOSED),
    ],
)
def test_what_calls_come_to_decides(fates: list[Fate], state: CircuitState) -> None:
    stand = Stand()
    for fate in fates:
        if stand.circuit.enter() is not None:
            stand.circuit.note(fate, 0)
    assert stand.circuit.state is state


def test_without_a_limit_it_never_opens() -> None:
    circuit = Circuit(CircuitRules(unreached=0), lambda: 0.0)
    for _ in range(100):
        passage = circuit.enter()
        assert passage is not None
        passage.ends(Fate.UNREACHED)
    assert circuit.state is CLOSED


def test_failures_that_are_long_ago_do_not_count() -> None:
    stand = Stand()
    for _ in range(20):
        stand.call(Fate.FAILED if stand.now % 2 else Fate.UNREACHED)
        stand.now += 16
    assert stand.circuit.state is CLOSED


def test_an_open_circuit_lets_nothing_through_and_says_for_how_long() -> None:
    stand = Stand().opened()
    stand.now += 4
    assert stand.circuit.enter() is None
    assert stand.circuit.closed_for_s == 6


def test_after_its_time_it_lets_as_many_through_as_are_needed_to_judge() -> None:
    stand = Stand().opened()
    stand.now += 10
    assert (stand.circuit.state, stand.circuit.closed_for_s) == (HALF_OPEN, 0)
    stand.enter()
    stand.enter()
    assert stand.circuit.enter() is None
    assert stand.circuit.closed_for_s == 1


def test_it_closes_when_every_probe_was_answered() -> None:
    stand = Stand().opened()
    stand.now += 10
    stand.call(Fate.ANSWERED)
    assert stand.circuit.state is HALF_OPEN
    stand.call(Fate.ANSWERED)
    assert stand.circuit.state is CLOSED


@pytest.mark.parametrize("fate", [Fate.FAILED, Fate.UNREACHED])
def test_one_failed_probe_opens_it_again(fate: Fate) -> None:
    stand = Stand().opened()
    stand.now += 10
    stand.call(Fate.ANSWERED)
    stand.call(fate)
    assert (stand.circuit.state, stand.circuit.closed_for_s) == (OPEN, 10)


def test_a_probe_that_was_given_up_makes_room_for_another() -> None:
    stand = Stand().opened()
    stand.now += 10
    for _ in range(5):
        stand.call(Fate.UNKNOWN)
    assert (stand.circuit.state, stand.circuit.closed_for_s) == (HALF_OPEN, 0)


def test_a_probe_counts_as_soon_as_it_speaks_and_only_once() -> None:
    stand = Stand().opened()
    stand.now += 10
    first = stand.enter()
    first.speaks()
    first.ends(Fate.FAILED)
    assert stand.circuit.state is HALF_OPEN
    stand.enter().speaks()
    assert stand.circuit.state is CLOSED


@pytest.mark.parametrize("fate", list(Fate))
def test_a_call_from_before_has_no_say_in_what_came_after(fate: Fate) -> None:
    stand = Stand()
    old = stand.enter()
    stand.opened()
    stand.now += 10
    old.ends(fate)
    assert stand.circuit.state is HALF_OPEN
    stand.enter()
    stand.enter()
    assert stand.circuit.enter() is None


def test_once_closed_it_begins_to_count_from_nothing() -> None:
    stand = Stand().opened()
    stand.now += 10
    stand.call(Fate.ANSWERED)
    stand.call(Fate.ANSWERED)
    stand.call(Fate.UNREACHED)
    stand.call(Fate.UNREACHED)
    assert stand.circuit.state is CLOSED
