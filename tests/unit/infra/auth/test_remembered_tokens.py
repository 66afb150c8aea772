"""A token is verified once in a while, not for every call."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from domain.errors import Unauthorized
from domain.ids import TenantId, UserId
from domain.subject import AuthMethod, Subject
from infra.auth.remembered_tokens import REMEMBER_FOR, RememberedTokens

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class HandClock:
    def __init__(self) -> None:
        self.passed = timedelta(0)

    def now(self) -> datetime:
        return NOW + self.passed

    def monotonic(self) -> float:
        return self.passed.total_seconds()


class CountingVerifier:
    """Accepts every token but `bad`, for a subject that expires `lifetime` after NOW."""

    def __init__(self, lifetime: timedelta | None = None) -> None:
        self.asked: list[str | None] = []
        self._subject = Subject(
            tenant_id=TenantId(uuid4()),
            user_id=UserId(uuid4()),
            roles=frozenset(),
            features=frozenset(),
            auth_method=AuthMethod.JWT,
            expires_at=None if lifetime is None else NOW + lifetime,
        )

    async def verify(self, token: str | None) -> Subject:
        self.asked.append(token)
        if token == "bad":
            raise Unauthorized(presented=True)
        return self._subject


async def test_a_token_accepted_a_moment_ago_is_not_verified_again() -> None:
    verifier = CountingVerifier()
    remembered = RememberedTokens(verifier, HandClock())
    assert await remembered.verify("a") == await remembered.verify("a")
    await remembered.verify("b")
    assert verifier.asked == ["a", "b"]


async def test_after_a_while_it_is_verified_again() -> None:
    verifier, clock = CountingVerifier(), HandClock()
    remembered = RememberedTokens(verifier, clock)
    await remembered.verify("a")
    clock.passed = REMEMBER_FOR
    await remembered.verify("a")
    assert verifier.asked == ["a", "a"]


async def test_nothing_is_remembered_past_its_expiry() -> None:
    verifier, clock = CountingVerifier(lifetime=timedelta(seconds=5)), HandClock()
    remembered = RememberedTokens(verifier, clock)
    await remembered.verify("a")
    clock.passed = timedelta(seconds=5)
    await remembered.verify("a")
    assert verifier.asked == ["a", "a"]


async def test_a_refusal_is_never_remembered() -> None:
    verifier = CountingVerifier()
    remembered = RememberedTokens(verifier, HandClock())
    for _ in range(2):
        with pytest.raises(Unauthorized):
            await remembered.verify("bad")
    assert verifier.asked == ["bad", "bad"]


async def test_a_call_without_a_token_is_always_asked() -> None:
    verifier = CountingVerifier()
    remembered = RememberedTokens(verifier, HandClock())
    await remembered.verify(None)
    await remembered.verify(None)
    assert verifier.asked == [None, None]


async def test_of_very_many_tokens_the_oldest_are_forgotten() -> None:
    verifier = CountingVerifier()
    remembered = RememberedTokens(verifier, HandClock())
    for number in range(1025):
        await remembered.verify(str(number))
    await remembered.verify("1024")
    await remembered.verify("0")
    assert verifier.asked[-2:] == ["1024", "0"]
