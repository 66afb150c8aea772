from domain.audit.sampling import Sampling


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


def taken(sampling: Sampling, key: str, times: int) -> list[int]:
    """Which of so many, counted from one."""
    return [number for number in range(1, times + 1) if sampling.takes(key)]


def test_the_first_of_a_second_are_taken_and_then_every_hundredth() -> None:
    sampling = Sampling(Clock().monotonic, 3)
    assert taken(sampling, "a", 350) == [1, 2, 3, 103, 203, 303]


def test_each_key_and_each_second_counts_for_itself() -> None:
    clock = Clock()
    sampling = Sampling(clock.monotonic, 1)
    assert (taken(sampling, "a", 5), taken(sampling, "b", 5)) == ([1], [1])
    clock.now = 100.9
    assert taken(sampling, "a", 5) == []
    clock.now = 101.0
    assert taken(sampling, "a", 5) == [1]


def test_what_was_seen_is_forgotten_with_its_second() -> None:
    clock = Clock()
    sampling = Sampling(clock.monotonic, 1)
    for number in range(1_000):
        sampling.takes(str(number))
    clock.now = 101.0
    sampling.takes("a")
    assert len(sampling._seen) == 1
