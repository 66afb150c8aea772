"""What the store of credits promises: a hold is in all of its counters or in none, and never more than there is."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import anyio
import pytest
from msgspec.structs import replace

from domain.catalogue.models import Tier
from domain.quotas.buckets import Bucket, BucketName, Holder
from domain.quotas.credits import Prices
from domain.quotas.limits import DEPLOYMENT_DEFAULTS, NO_LIMITS, Limits, TierLimits
from domain.quotas.models import Claim, Hold, Standing
from domain.quotas.periods import Period, PeriodType, periods_at
from domain.quotas.ports import LimitPlace
from domain.scope import AccessScope
from domain.tools.calls import ToolCalls, ToolLimits
from domain.unit_of_work import Access, LostRace
from infra.postgres.unit_of_work import PostgresUnitOfWork
from tests.contract.store.samples import somebody

pytestmark = pytest.mark.postgres

Begin: TypeAlias = PostgresUnitOfWork

DAY_OF_TEN: Final = Limits(total=TierLimits(limit_daily_credits_micro=10, limit_monthly_credits_micro=1_000))
MONTH_OF_TEN: Final = Limits(total=TierLimits(limit_daily_credits_micro=1_000, limit_monthly_credits_micro=10))


async def standing(begin: Begin, scope: AccessScope) -> Standing:
    async with begin(scope, Access.READ) as tx:
        return await tx.quotas.standing()


async def limited(begin: Begin, scope: AccessScope, place: LimitPlace, limits: Limits) -> None:
    async with begin(scope) as tx:
        assert await tx.limits.put(place, limits, scope.user_id, None)


async def reserve(begin: Begin, scope: AccessScope, micro: int, **members: Any) -> None:
    """As a send does: a look, and then what it saw is asked for."""
    seen = await standing(begin, scope)
    async with begin(scope) as tx:
        await tx.quotas.reserve(a_claim(seen, micro, **members))


def a_claim(seen: Standing, micro: int, tier: Tier = Tier.STANDARD, tools: ToolCalls = ToolCalls()) -> Claim:  # noqa: B008 - frozen
    day, month = periods_at(seen.now)
    hold = Hold(
        credits_micro=micro,
        tier=tier,
        prices=Prices(input_multiplier_micro=1, output_multiplier_micro=1),
        estimated_input_tokens=1,
        max_output_tokens=1,
        generation_floor=1,
        day=day.start,
        month=month.start,
        in_tenant_buckets=seen.limits.tenant_counts,
        tool_calls=tools,
    )
    return Claim(hold=hold, limits=seen.limits, deployment=DEPLOYMENT_DEFAULTS, tools=ToolLimits(web_search_daily=3))


def held(seen: Standing) -> dict[tuple[Holder, BucketName, PeriodType], int]:
    return {
        (each.holder, each.name, each.period.type): counter.reserved_micro for each, counter in seen.counters.items()
    }


USER_TOTAL: Final = {(Holder.USER, BucketName.TOTAL, period) for period in PeriodType}
USER_PREMIUM: Final = {(Holder.USER, BucketName.PREMIUM, period) for period in PeriodType}
TENANT_TOTAL: Final = {(Holder.TENANT, BucketName.TOTAL, period) for period in PeriodType}


async def test_of_somebody_new_nothing_is_known_but_the_time(begin: Begin) -> None:
    seen = await standing(begin, somebody())
    assert (seen.limits.user, seen.limits.user_defaults, seen.limits.tenant) == (NO_LIMITS,) * 3
    assert seen.counters == {}
    assert abs((seen.now - datetime.now(UTC)).total_seconds()) < 60
    assert seen.used_micro(Bucket(Holder.USER, BucketName.TOTAL, Period(PeriodType.DAILY, seen.now.date()))) == 0


@pytest.mark.parametrize(
    ("tier", "with_tenant", "expected"),
    [
        (Tier.STANDARD, False, USER_TOTAL),
        (Tier.PREMIUM, False, USER_TOTAL | USER_PREMIUM),
        (Tier.STANDARD, True, USER_TOTAL | TENANT_TOTAL),
    ],
)
async def test_a_hold_is_in_each_counter_of_its_turn(
    begin: Begin, tier: Tier, with_tenant: bool, expected: Any
) -> None:
    ann = somebody()
    if with_tenant:
        await limited(begin, ann, LimitPlace.TENANT, DAY_OF_TEN)
    for _ in range(2):
        await reserve(begin, ann, 5, tier=tier)
    assert held(await standing(begin, ann)) == dict.fromkeys(expected, 10)


async def test_the_last_credit_can_be_held_and_no_more(begin: Begin) -> None:
    ann = somebody()
    await limited(begin, ann, LimitPlace.USER, DAY_OF_TEN)
    await reserve(begin, ann, 4)
    await reserve(begin, ann, 6)
    with pytest.raises(LostRace, match="quota_buckets"):
        await reserve(begin, ann, 1)
    await reserve(begin, ann, 0)
    assert held(await standing(begin, ann)) == dict.fromkeys(USER_TOTAL, 10)


@pytest.mark.parametrize("limits", [DAY_OF_TEN, MONTH_OF_TEN])
@pytest.mark.parametrize("before", [0, 9])
async def test_where_one_counter_has_no_room_nothing_is_held_in_the_others(
    begin: Begin, limits: Limits, before: int
) -> None:
    ann = somebody()
    await limited(begin, ann, LimitPlace.USER, limits)
    if before:
        await reserve(begin, ann, before)
    with pytest.raises(LostRace):
        await reserve(begin, ann, 11 - before)
    assert set(held(await standing(begin, ann)).values()) == ({before} if before else set())


async def test_the_tenant_s_own_limit_stops_everybody_in_it(begin: Begin) -> None:
    ann, others = somebody(), somebody()
    bob = somebody(in_tenant_of=ann)
    await limited(begin, ann, LimitPlace.TENANT, DAY_OF_TEN)
    await reserve(begin, ann, 8)
    with pytest.raises(LostRace):
        await reserve(begin, bob, 3)
    await reserve(begin, bob, 2)
    await reserve(begin, others, 11)
    seen = held(await standing(begin, bob))
    assert seen == dict.fromkeys(USER_TOTAL, 2) | dict.fromkeys(TENANT_TOTAL, 10)


async def test_what_others_hold_is_not_seen(begin: Begin) -> None:
    ann = somebody()
    bob, stranger = somebody(in_tenant_of=ann), replace(somebody(), user_id=ann.user_id)
    await reserve(begin, ann, 5)
    for who in (bob, stranger):
        assert (await standing(begin, who)).counters == {}


async def test_of_many_at_once_as_many_hold_as_there_is_room(begin: Begin) -> None:
    """They hold in four counters of two people, in the order of their own clocks: nobody waits in a circle."""
    ann = somebody()
    bob = somebody(in_tenant_of=ann)
    await limited(begin, ann, LimitPlace.TENANT, DAY_OF_TEN)
    seen, outcomes = {who: await standing(begin, who) for who in (ann, bob)}, list[bool]()

    async def attempt(who: AccessScope) -> None:
        try:
            async with begin(who) as tx:
                await tx.quotas.reserve(a_claim(seen[who], 2))
        except LostRace:
            outcomes.append(False)
        else:
            outcomes.append(True)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for number in range(16):
                tasks.start_soon(attempt, (ann, bob)[number % 2])
    assert (sum(outcomes), len(outcomes)) == (5, 16)
    assert held(await standing(begin, ann))[Holder.TENANT, BucketName.TOTAL, PeriodType.DAILY] == 10


async def test_a_limit_that_was_lowered_meanwhile_is_not_known_to_an_older_claim(begin: Begin) -> None:
    """It keeps the limits it was admitted by; the next look sees the new ones."""
    ann = somebody()
    seen = await standing(begin, ann)
    await limited(begin, ann, LimitPlace.USER, DAY_OF_TEN)
    async with begin(ann) as tx:
        await tx.quotas.reserve(a_claim(seen, 50))
    with pytest.raises(LostRace):
        await reserve(begin, ann, 0)


async def test_a_hold_that_is_rolled_back_was_never_there(begin: Begin) -> None:
    ann = somebody()
    claim = a_claim(await standing(begin, ann), 5)
    with suppress(ZeroDivisionError):
        async with begin(ann) as tx:
            await tx.quotas.reserve(claim)
            raise ZeroDivisionError
    assert (await standing(begin, ann)).counters == {}


async def test_calls_of_tools_are_held_by_the_day_and_no_more_than_there_may_be(begin: Begin) -> None:
    ann = somebody()
    for _ in range(3):
        await reserve(begin, ann, 1, tools=ToolCalls(web_search=1))
    with pytest.raises(LostRace):
        await reserve(begin, ann, 1, tools=ToolCalls(web_search=1))
    await reserve(begin, ann, 1)
    seen = await standing(begin, ann)
    assert seen.tool_calls == ToolCalls(web_search=3)
    assert held(seen) == dict.fromkeys(USER_TOTAL, 4)


@pytest.mark.parametrize("place", LimitPlace)
async def test_limits_are_those_of_their_place(begin: Begin, place: LimitPlace) -> None:
    ann = somebody()
    bob = somebody(in_tenant_of=ann)
    await limited(begin, ann, place, DAY_OF_TEN)
    hers, his = (await standing(begin, ann)).limits, (await standing(begin, bob)).limits
    of_place = {LimitPlace.USER: "user", LimitPlace.USER_DEFAULT: "user_defaults", LimitPlace.TENANT: "tenant"}
    told = {name: getattr(hers, name) for name in of_place.values()}
    assert told == dict.fromkeys(of_place.values(), NO_LIMITS) | {of_place[place]: DAY_OF_TEN}
    assert his == (hers if place is not LimitPlace.USER else replace(hers, user=NO_LIMITS))


async def test_limits_are_replaced_by_whoever_knows_their_version(begin: Begin) -> None:
    ann = somebody()
    steps = [(1, False, 0), (0, True, 1), (0, False, 1), (1, True, 2), (None, True, 3), (2, False, 3)]
    for number, (expected, accepted, version) in enumerate(steps):
        limits = Limits(total=TierLimits(limit_daily_credits_micro=number))
        async with begin(ann) as tx:
            assert await tx.limits.put(LimitPlace.USER, limits, ann.user_id, expected) is accepted
            assert await tx.limits.version(LimitPlace.USER) == version
    assert (await standing(begin, ann)).limits.user == Limits(total=TierLimits(limit_daily_credits_micro=4))


async def test_a_tenant_exists_once_something_was_set_for_it(begin: Begin) -> None:
    ann = somebody()
    async with begin(ann) as tx:
        assert not await tx.limits.tenant_exists()
    await limited(begin, ann, LimitPlace.USER, NO_LIMITS)
    async with begin(somebody(in_tenant_of=ann), Access.READ) as tx:
        assert await tx.limits.tenant_exists()
    async with begin(somebody(), Access.READ) as tx:
        assert not await tx.limits.tenant_exists()
