from datetime import UTC, datetime, timedelta

import anyio
import pytest

from domain.errors import ServiceUnavailable
from infra.auth.key_cache import CachePolicy, KeyCache
from infra.auth.keys import KeyRing, read_key_ring
from infra.auth.refusal import Refused
from tests.unit.infra.auth.signing import EC_KEY, RSA_KEY, jwk, jwk_set

POLICY = CachePolicy(refresh_after=timedelta(minutes=5), usable_for=timedelta(hours=1), pause=timedelta(seconds=5))


class HandClock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds

    def pass_by(self, **span: float) -> None:
        self.seconds += timedelta(**span).total_seconds()


class Source:
    """Publishes `ring`; holds a load back until `gate` is set."""

    def __init__(self) -> None:
        self.ring: KeyRing | None = read_key_ring(jwk_set(jwk(RSA_KEY, kid="a")))
        self.loads = 0
        self.gate = anyio.Event()
        self.gate.set()
        self.entered = anyio.Event()

    async def load(self) -> KeyRing | None:
        self.loads += 1
        self.entered.set()
        await self.gate.wait()
        return self.ring


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def source() -> Source:
    return Source()


@pytest.fixture
async def cache(source: Source, clock: HandClock) -> KeyCache:
    return KeyCache(source.load, clock, POLICY)


async def test_keys_are_fetched_once_and_kept(cache: KeyCache, source: Source) -> None:
    for _ in range(3):
        assert await cache.key_for("a", "RS256") == RSA_KEY.public_key()
    assert source.loads == 1


async def test_a_flood_of_unknown_ids_costs_one_fetch_per_pause(
    cache: KeyCache, source: Source, clock: HandClock
) -> None:
    for number in range(200):
        with pytest.raises(Refused):
            await cache.key_for(f"unknown-{number}", "RS256")
    assert source.loads == 1
    clock.pass_by(seconds=5)
    for number in range(200):
        with pytest.raises(Refused):
            await cache.key_for(f"unknown-{number}", "RS256")
    assert source.loads == 2


async def test_a_rotated_key_is_picked_up(cache: KeyCache, source: Source, clock: HandClock) -> None:
    await cache.key_for("a", "RS256")
    source.ring = read_key_ring(jwk_set(jwk(EC_KEY, kid="b")))
    clock.pass_by(seconds=5)
    assert await cache.key_for("b", "ES256") == EC_KEY.public_key()
    with pytest.raises(Refused):
        await cache.key_for("a", "RS256")


async def test_a_withdrawn_key_is_noticed_by_the_next_refresh(
    cache: KeyCache, source: Source, clock: HandClock
) -> None:
    await cache.key_for("a", "RS256")
    source.ring = read_key_ring(jwk_set(jwk(EC_KEY, kid="b")))
    clock.pass_by(minutes=5)
    with pytest.raises(Refused):
        await cache.key_for("a", "RS256")


async def test_keys_survive_an_outage_until_they_are_too_old(cache: KeyCache, source: Source, clock: HandClock) -> None:
    await cache.key_for("a", "RS256")
    source.ring = None
    clock.pass_by(minutes=59)
    assert await cache.key_for("a", "RS256") == RSA_KEY.public_key()
    clock.pass_by(minutes=1)
    with pytest.raises(ServiceUnavailable):
        await cache.key_for("a", "RS256")


async def test_an_outage_at_the_start_ends_with_the_first_fetch_after_the_pause(
    cache: KeyCache, source: Source, clock: HandClock
) -> None:
    published, source.ring = source.ring, None
    for _ in range(10):
        with pytest.raises(ServiceUnavailable):
            await cache.key_for("a", "RS256")
    assert source.loads == 1
    source.ring = published
    clock.pass_by(seconds=5)
    await cache.key_for("a", "RS256")


async def test_callers_that_wait_share_one_fetch(cache: KeyCache, source: Source) -> None:
    source.gate = anyio.Event()
    found: list[object] = []

    async def ask() -> None:
        found.append(await cache.key_for("a", "RS256"))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(ask)
            await source.entered.wait()
            source.gate.set()
    assert (len(found), source.loads) == (20, 1)


async def test_who_has_a_key_does_not_wait_for_a_slow_refresh(
    cache: KeyCache, source: Source, clock: HandClock
) -> None:
    await cache.key_for("a", "RS256")
    clock.pass_by(minutes=6)
    source.gate, source.entered = anyio.Event(), anyio.Event()
    found: list[object] = []
    found_meanwhile = 0

    async def ask() -> None:
        found.append(await cache.key_for("a", "RS256"))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await source.entered.wait()
            tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            found_meanwhile = len(found)
            source.gate.set()
    assert (found_meanwhile, len(found), source.loads) == (1, 2, 2)


async def test_a_caller_that_hangs_up_does_not_waste_the_fetch(cache: KeyCache, source: Source) -> None:
    source.gate = anyio.Event()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cache.key_for, "a", "RS256")
            await source.entered.wait()
            tasks.cancel_scope.cancel()
            source.gate.set()
    await cache.key_for("a", "RS256")
    assert source.loads == 1
