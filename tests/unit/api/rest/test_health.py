from dataclasses import dataclass
from datetime import timedelta

import anyio
import pytest

from api.rest.health import Check, Health, Probes


@dataclass
class Drain:
    draining: bool = False


async def fine() -> Health:
    return Health.OK


async def degraded() -> Health:
    return Health.DEGRADED


async def broken() -> Health:
    raise OSError("10.0.0.7 refused the connection")


async def silent() -> Health:
    await anyio.sleep_forever()
    return Health.OK


def probes(drain: Drain | None = None, **checks: Check) -> Probes:
    return Probes(checks, drain or Drain(), patience=timedelta(milliseconds=20))


async def test_ready_when_every_check_is() -> None:
    found = await probes(database=fine, redis=degraded).readiness()
    assert found.status == "ready"
    assert found.checks == {"database": "ok", "redis": "degraded"}


@pytest.mark.parametrize("bad", [broken, silent])
async def test_one_check_that_fails_or_stays_silent_is_enough_and_the_others_are_still_told(bad: Check) -> None:
    with anyio.fail_after(5):
        found = await probes(database=bad, catalogue=fine).readiness()
    assert found.status == "not_ready"
    assert found.checks == {"database": "failed", "catalogue": "ok"}


async def test_checks_run_side_by_side() -> None:
    both = anyio.Event()
    arrived: list[str] = []

    async def meet() -> Health:
        arrived.append("here")
        if len(arrived) == 2:
            both.set()
        await both.wait()
        return Health.OK

    found = await Probes({"a": meet, "b": meet}, Drain(), patience=timedelta(seconds=5)).readiness()
    assert found.status == "ready"


async def test_draining_wins_over_the_checks() -> None:
    assert (await probes(Drain(draining=True), database=fine).readiness()).status == "draining"
