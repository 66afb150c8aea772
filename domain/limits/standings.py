"""What the answer to one call tells about the policies of its route; follows the flow of control."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from domain.limits.models import RatePolicy, Standing, TurnCap


class Standings:
    """`policies` are those of the route, of which `latest` has what is known by name."""

    def __init__(self) -> None:
        self.policies: tuple[RatePolicy | TurnCap, ...] = ()
        self.latest: dict[str, Standing] = {}


_current: ContextVar[Standings | None] = ContextVar("standings", default=None)


@contextmanager
def standings_noted() -> Iterator[Standings]:
    """What is noted inside, also by tasks started inside, is found in the value."""
    standings = Standings()
    token = _current.set(standings)
    try:
        yield standings
    finally:
        _current.reset(token)


def note_policies(policies: tuple[RatePolicy | TurnCap, ...]) -> None:
    """Outside `standings_noted` nobody is told, and nothing happens."""
    if (standings := _current.get()) is not None:
        standings.policies = policies


def note_standing(standing: Standing) -> None:
    """As `note_policies`; a later one takes the place of an earlier one."""
    if (standings := _current.get()) is not None:
        standings.latest[standing.policy.name] = standing
