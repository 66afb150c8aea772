"""Redis and its twin, asked the same questions, give the same answers."""

from collections.abc import Sequence

import pytest

from domain.limits.models import Permit, Use, Verdict
from tests.contract.limits.limiters import NoTwin, a_policy, local, over_redis
from tests.harness.chance import seeded
from tests.harness.redis import RedisServer

STEPS = 400
POLICIES = (a_policy(5, "requests"), a_policy(3, "sends"), a_policy(12, "tenant-sends"))


def told(verdict: Verdict) -> tuple[bool, Sequence[int], Sequence[bool]]:
    return (
        verdict.permit is not None,
        [standing.remaining for standing in verdict.standings],
        [standing.grows_in_ms is None for standing in verdict.standings],
    )


@pytest.mark.redis
async def test_they_agree_on_every_step_of_a_random_walk(own_redis: RedisServer) -> None:
    """All within one window, whose end the contract looks at: two clocks never cross a slot at the same moment."""
    chance, twin = seeded("walk of the twins"), local()
    permits: list[tuple[Permit, Permit]] = []
    async with over_redis(own_redis.url, NoTwin()) as shared:  # type: ignore[arg-type]
        for _ in range(STEPS):
            if permits and chance.random() < 0.3:
                theirs, ours = permits.pop(chance.randrange(len(permits)))
                await shared.give_back(theirs)
                await twin.give_back(ours)
                continue
            uses = [
                Use(policy, f"{{tenant-{chance.randrange(2)}}}", chance.randrange(3))
                for policy in chance.sample(POLICIES, chance.randrange(1, len(POLICIES) + 1))
            ]
            theirs_told, ours_told = await shared.take(uses), await twin.take(uses)
            assert told(theirs_told) == told(ours_told), uses
            if theirs_told.permit is not None and ours_told.permit is not None:
                permits.append((theirs_told.permit, ours_told.permit))
