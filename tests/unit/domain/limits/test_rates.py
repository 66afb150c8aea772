"""Who is refused, what is counted and what is told, over the in-process twin and a clock that stands still."""

from collections.abc import Iterator
from contextlib import suppress
from uuid import UUID

import anyio
import pytest
from msgspec.structs import replace

from domain.auth.policy import Action
from domain.errors import ChatNotFound, RateLimited
from domain.ids import TenantId, UserId
from domain.limits.holders import address_holder, tenant_holder, user_holder
from domain.limits.rates import Quotas, Rates
from domain.limits.standings import Standings, standings_noted
from domain.scope import scope_for
from domain.subject import Subject
from domain.telemetry.ports import SilentTelemetry
from infra.local.rate_limiter import LocalRateLimiter
from tests.harness.engine import a_user

QUOTAS = Quotas(requests=5, sends=2, tenant_sends=3, active_turns=4)


def rates(quotas: Quotas = QUOTAS) -> Rates:
    return Rates(LocalRateLimiter(lambda: 1000.0), quotas, SilentTelemetry())


@pytest.fixture
def noted() -> Iterator[Standings]:
    with standings_noted() as standings:
        yield standings


def colleague_of(who: Subject) -> Subject:
    return replace(a_user(), tenant_id=who.tenant_id)


async def send(limits: Rates, who: Subject, *, accepted: bool = True) -> None:
    async with limits.sending(scope_for(who)) as permit:
        await permit.take()
        if accepted:
            permit.keep()


def remaining(standings: Standings) -> dict[str, int]:
    return {name: standing.remaining for name, standing in standings.latest.items()}


async def test_every_call_counts_whatever_it_asks_for(noted: Standings) -> None:
    limits, who = rates(), a_user()
    for action in (Action.READ_CHAT, Action.SEND_MESSAGE, Action.DELETE_CHAT, Action.LIST_MODELS, Action.CANCEL_TURN):
        await limits.count_call(who, action)
    assert remaining(noted)["requests"] == 0
    with pytest.raises(RateLimited) as refused:
        await limits.count_call(who, Action.READ_CHAT)
    assert refused.value.members == {"violated_policies": ("requests",)}
    assert refused.value.retry_after is not None
    assert 60 <= refused.value.retry_after.total_seconds() <= 61
    await limits.count_call(a_user(), Action.READ_CHAT)


async def test_only_what_applies_to_a_call_is_told(noted: Standings) -> None:
    limits, who = rates(), a_user()
    await limits.count_call(who, Action.READ_CHAT)
    assert [policy.name for policy in noted.policies] == ["requests"]
    assert remaining(noted) == {"requests": 4}
    for action in (Action.SEND_MESSAGE, Action.RETRY_TURN, Action.EDIT_TURN):
        await limits.count_call(who, action)
        assert [policy.name for policy in noted.policies] == ["requests", "sends", "active-turns"]
    assert remaining(noted) == {"requests": 1, "sends": 2}


async def test_a_send_counts_when_it_was_accepted(noted: Standings) -> None:
    limits, who = rates(), a_user()
    for _ in range(5):
        await send(limits, who, accepted=False)
    await send(limits, who)
    assert remaining(noted)["sends"] == 1
    await send(limits, who)
    with pytest.raises(RateLimited) as refused:
        await send(limits, who)
    assert refused.value.members == {"violated_policies": ("sends",)}


async def test_a_send_that_is_refused_on_its_way_is_given_back() -> None:
    limits, who = rates(), a_user()
    for _ in range(5):
        with suppress(ChatNotFound):
            async with limits.sending(scope_for(who)) as permit:
                await permit.take()
                raise ChatNotFound
    await send(limits, who)


async def test_a_send_whose_caller_leaves_on_its_way_is_given_back() -> None:
    limits, who = rates(), a_user()
    for _ in range(5):
        with anyio.CancelScope() as call:
            async with limits.sending(scope_for(who)) as permit:
                await permit.take()
                call.cancel()
                await anyio.sleep_forever()
    await send(limits, who)


async def test_a_send_that_is_tried_again_counts_once(noted: Standings) -> None:
    limits, who = rates(), a_user()
    async with limits.sending(scope_for(who)) as permit:
        for _ in range(5):
            await permit.take()
        permit.keep()
    assert remaining(noted)["sends"] == 1


async def test_the_sends_of_a_tenant_are_those_of_all_its_users() -> None:
    limits, who = rates(), a_user()
    await send(limits, who)
    await send(limits, who)
    await send(limits, colleague_of(who))
    with pytest.raises(RateLimited) as refused:
        await send(limits, colleague_of(who))
    assert refused.value.members == {"violated_policies": ("tenant-sends",)}
    await send(limits, a_user())


async def test_one_user_of_a_tenant_uses_none_of_it_while_over_its_own_quota() -> None:
    limits, who = rates(), a_user()
    for _ in range(2):
        await send(limits, who)
    for _ in range(5):
        with pytest.raises(RateLimited):
            await send(limits, who)
    await send(limits, colleague_of(who))


async def test_a_quota_of_0_limits_and_tells_nothing(noted: Standings) -> None:
    limits, who = rates(Quotas()), a_user()
    for _ in range(50):
        await limits.count_call(who, Action.SEND_MESSAGE)
        await send(limits, who)
    assert (noted.policies, noted.latest) == ((), {})


async def test_outside_of_a_call_nobody_is_told() -> None:
    await rates().count_call(a_user(), Action.SEND_MESSAGE)


def test_the_names_of_holders_keep_people_apart_and_to_themselves() -> None:
    one, two = TenantId(UUID(int=1)), TenantId(UUID(int=2))
    ada, bob = UserId(UUID(int=3)), UserId(UUID(int=4))
    names = {user_holder(one, ada), user_holder(one, bob), user_holder(two, ada), tenant_holder(one)}
    assert len(names) == 4
    assert not any(ada.hex in name or str(ada) in name for name in names)
    assert all(name.startswith(f"{{{one.hex}}}") for name in names - {user_holder(two, ada)})


@pytest.mark.parametrize(
    ("address", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("no address", "no other", False),
    ],
)
def test_an_address_is_a_host_or_the_site_around_it(address: str, other: str, *, same: bool) -> None:
    assert (address_holder(address) == address_holder(other)) == same
