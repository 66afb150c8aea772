from tests.fuzz.rounds import Tally, fuzz_once
from tests.fuzz.targets import CASES
from tests.harness.chance import seed_for

_ROUNDS = 300


def test_random_texts_are_read_or_refused_and_some_of_each() -> None:
    seed, tallies = seed_for("fuzz"), dict[str, Tally]()
    for number in range(_ROUNDS):
        fuzz_once(seed, number, tallies)
    assert set(tallies) == set(CASES)
    for tally in tallies.values():
        assert 0 < tally.accepted < tally.read == _ROUNDS
