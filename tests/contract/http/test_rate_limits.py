"""What callers see of the limits, and how far they come (api.md 1.4, 1.7)."""

from collections.abc import Sequence
from typing import Any

import pytest
from litestar import Controller, post

from api.rest.callers import Caution
from api.rest.client_address import TrustedProxies
from api.rest.endpoint import endpoint
from domain.auth.policy import Action
from domain.limits.address_brake import AddressBrake
from domain.limits.rates import Quotas
from domain.subject import Subject
from domain.telemetry.ports import SilentTelemetry
from infra.local.rate_limiter import LocalRateLimiter
from tests.contract.http.world import CHATS, MODELS, PEOPLE, World, create_world
from tests.fakes.limits import counting
from tests.harness.bridge import Answer
from tests.harness.structured_fields import items_of

SENDS = "/mini-chat/v1/sends"


class SendingController(Controller):
    path = "/sends"

    @post("", status_code=200, opt=endpoint(Action.SEND_MESSAGE, starts_work=True))
    async def send(self) -> None:
        return None


def a_world(**quotas: int) -> World:
    return create_world(rates=counting(Quotas(**quotas)), further=[SendingController])


def policies(answer: Answer) -> dict[str, dict[str, Any]]:
    return dict(items_of(answer.header("RateLimit-Policy") or ""))


def left(answer: Answer) -> dict[str, Any]:
    return {name: members["r"] for name, members in items_of(answer.header("RateLimit") or "")}


async def test_an_answer_tells_its_policies_and_what_is_left() -> None:
    answer = await a_world(requests=6000, sends=600, active_turns=20).call("POST", SENDS)
    assert answer.header("RateLimit-Policy") == (
        '"requests";q=6000;w=60, "sends";q=600;w=60, "active-turns";q=20;qu="concurrent-requests"'
    )
    assert answer.header("RateLimit") == '"requests";r=5999;t=61, "sends";r=600'


async def test_only_the_policies_of_the_route_are_told() -> None:
    answer = await a_world(requests=10, sends=5, tenant_sends=5, active_turns=20).call("GET", MODELS)
    assert policies(answer) == {"requests": {"q": 10, "w": 60}}
    assert left(answer) == {"requests": 9}


@pytest.mark.parametrize(
    ("method", "target", "who", "status"),
    [
        ("GET", MODELS, "ann", 200),
        ("GET", MODELS, "nobody", 403),
        ("GET", MODELS, "unlicensed", 403),
        ("GET", f"{CHATS}/no-uuid", "ann", 400),
        ("GET", f"{MODELS}/gone", "ann", 404),
        ("POST", CHATS, "ann", 400),
        ("GET", "/mini-chat/v1/me", "unlicensed", 200),
    ],
)
async def test_every_authenticated_answer_tells_them(method: str, target: str, who: str, status: int) -> None:
    answer = await a_world(requests=10).call(method, target, who=who)
    assert answer.status == status
    assert left(answer) == {"requests": 9}


@pytest.mark.parametrize(
    ("target", "who", "status"),
    [(MODELS, None, 401), (MODELS, "stranger", 401), ("/nowhere", "ann", 404), ("/livez", "ann", 200)],
)
async def test_who_was_not_found_out_is_told_nothing(target: str, who: str | None, status: int) -> None:
    answer = await a_world(requests=10).call("GET", target, who=who)
    assert answer.status == status
    assert (answer.header("RateLimit-Policy"), answer.header("RateLimit")) == (None, None)


async def test_without_limits_nothing_is_told() -> None:
    answer = await a_world().call("POST", SENDS)
    assert (answer.status, answer.header("RateLimit-Policy"), answer.header("RateLimit")) == (200, None, None)


async def test_who_calls_too_often_is_told_when_to_come_back() -> None:
    world = a_world(requests=2)
    for _ in range(2):
        assert (await world.call("GET", MODELS)).status == 200
    refused = await world.call("GET", MODELS)
    problem = refused.json()
    assert (refused.status, problem["code"], problem["violated_policies"]) == (429, "rate_limited", ["requests"])
    (members,) = [members for _, members in items_of(refused.header("RateLimit") or "")]
    assert members["r"] == 0
    assert int(refused.header("Retry-After") or 0) >= members["t"] >= 59
    assert (
        problem["retry_after_ms"] <= 1000 * int(refused.header("Retry-After") or 0) < problem["retry_after_ms"] + 1000
    )
    assert (await world.call("GET", MODELS, who="bob")).status == 200


@pytest.mark.parametrize(
    ("who", "target", "status"),
    [
        ("stranger", MODELS, 401),
        ("nobody", MODELS, 429),
        ("unlicensed", MODELS, 429),
        ("ann", f"{CHATS}/no-uuid", 429),
    ],
)
async def test_the_rate_stands_after_the_credential_and_before_role_and_path(
    who: str, target: str, status: int
) -> None:
    world = a_world(requests=1)
    await world.call("GET", "/mini-chat/v1/me", who=who)
    assert (await world.call("GET", target, who=who)).status == status


async def test_a_draining_process_says_so_first_and_counts_nothing() -> None:
    world = a_world(requests=1)
    world.drain.draining = True
    for _ in range(3):
        assert (await world.call("POST", SENDS)).status == 503
    assert (await world.call("GET", MODELS)).status == 200


class Guessing:
    """A world whose addresses may fail twice, and which remembers nobody unless told so."""

    def __init__(self, trusted: Sequence[str] = (), known: Sequence[str] = ()) -> None:
        self.counter = LocalRateLimiter(lambda: 1000.0, capacity=100)
        self._known = known
        self.world = create_world(
            rates=counting(Quotas(requests=10)),
            caution=Caution(
                brake=AddressBrake(self.counter, 2, SilentTelemetry()),
                proxies=TrustedProxies(trusted),
                recall=self._recall,
            ),
        )

    def _recall(self, token: str | None) -> Subject | None:
        return PEOPLE[token] if token is not None and token in self._known else None

    async def statuses(self, *whos: str | None, **headers: str) -> list[int]:
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        return [(await self.world.call("GET", MODELS, who=who, headers=said)).status for who in whos]


async def test_who_keeps_guessing_is_slowed_down_before_the_guess_is_looked_at() -> None:
    guessing = Guessing()
    assert await guessing.statuses("stranger", None, "stranger", "ann") == [401, 401, 429, 429]
    refused = await guessing.world.call("GET", MODELS, who="stranger")
    assert refused.json()["violated_policies"] == ["address"]
    assert int(refused.header("Retry-After") or 0) >= 60
    assert refused.header("RateLimit") is None


async def test_who_was_let_in_a_moment_ago_is_not_slowed_down_by_a_neighbour() -> None:
    guessing = Guessing(known=["ann"])
    assert await guessing.statuses("stranger", "stranger", "stranger", "bob", "ann") == [401, 401, 429, 429, 200]


async def test_good_credentials_and_refusals_of_the_brake_count_for_nothing() -> None:
    guessing = Guessing()
    assert await guessing.statuses(*["ann"] * 5, "stranger", "ann", "stranger") == [*[200] * 5, 401, 200, 401]


async def test_what_a_client_says_about_its_address_is_not_believed() -> None:
    guessing = Guessing()
    for number in range(4):
        statuses = await guessing.statuses("stranger", X_Forwarded_For=f"203.0.113.{number}")
        assert statuses == [401 if number < 2 else 429]


async def test_behind_a_trusted_proxy_each_client_is_one_address() -> None:
    guessing = Guessing(trusted=["127.0.0.0/8"])
    for number in range(4):
        assert await guessing.statuses("stranger", X_Forwarded_For=f"203.0.113.{number}") == [401]
    spoofing = [await guessing.statuses("stranger", X_Forwarded_For=f"198.51.100.{n}, 192.0.2.1") for n in range(3)]
    assert spoofing == [[401], [401], [429]]


async def test_only_the_last_hops_of_a_long_way_are_looked_at() -> None:
    guessing = Guessing(trusted=["127.0.0.0/8"])
    for number in range(3):
        way = ", ".join([f"203.0.113.{number}", *["127.0.0.2"] * 16])
        assert await guessing.statuses("stranger", X_Forwarded_For=way) == [401 if number < 2 else 429]


async def test_thousands_of_addresses_do_not_grow_the_memory() -> None:
    guessing = Guessing(trusted=["127.0.0.0/8"])
    for number in range(2_000):
        await guessing.statuses("stranger", X_Forwarded_For=f"2001:db8:{number:x}::1")
    assert len(guessing.counter) == 100


@pytest.mark.parametrize(
    ("forwarded", "origin"),
    [
        ([], "10.0.0.1"),
        (["203.0.113.9"], "203.0.113.9"),
        (["198.51.100.1", "203.0.113.9"], "203.0.113.9"),
        (["203.0.113.9", "10.0.0.7"], "203.0.113.9"),
        (["10.0.0.9", "10.0.0.7"], "10.0.0.9"),
        (["203.0.113.9", "unknown"], "10.0.0.1"),
        (["203.0.113.9", "unknown", "10.0.0.7"], "10.0.0.7"),
        (["::ffff:10.0.0.7"], "::ffff:10.0.0.7"),
        (["203.0.113.9", "::ffff:10.0.0.7"], "203.0.113.9"),
    ],
)
def test_the_origin_is_the_nearest_address_that_is_no_proxy_of_ours(forwarded: list[str], origin: str) -> None:
    assert TrustedProxies(["10.0.0.0/8"]).origin("10.0.0.1", forwarded) == origin


def test_an_untrusted_peer_is_its_own_origin() -> None:
    assert TrustedProxies(["10.0.0.0/8"]).origin("192.0.2.1", ["203.0.113.9"]) == "192.0.2.1"
