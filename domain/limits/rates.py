"""The rates of calls and sends: who is over one is refused, and what is left is told (api.md 1.4)."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import anyio
import msgspec

from domain.auth.policy import Action
from domain.errors import RateLimited
from domain.limits.holders import tenant_holder, user_holder
from domain.limits.models import Permit, RatePolicy, Standing, TurnCap, Use, Verdict, violated
from domain.limits.ports import RateLimiter
from domain.limits.standings import note_policies, note_standing
from domain.scope import AccessScope
from domain.subject import Subject
from domain.telemetry.ports import Counted, Telemetry

REQUESTS: Final = "requests"
SENDS: Final = "sends"
TENANT_SENDS: Final = "tenant-sends"
ACTIVE_TURNS: Final = "active-turns"

SENDING: Final = frozenset({Action.SEND_MESSAGE, Action.RETRY_TURN, Action.EDIT_TURN, Action.GENERATE_TITLE})
_GIVEN_BACK_WITHIN_S: Final = 1


class Quotas(msgspec.Struct, frozen=True, kw_only=True):
    """By the minute, but for what runs at the same time; 0 is no limit."""

    requests: int = 0
    sends: int = 0
    tenant_sends: int = 0
    active_turns: int = 0
    tenant_active_turns: int = 0


class Rates:
    def __init__(self, limiter: RateLimiter, quotas: Quotas, telemetry: Telemetry) -> None:
        self._limiter = limiter
        self._telemetry = telemetry
        self._requests = _policy(REQUESTS, quotas.requests)
        self._sends = _policy(SENDS, quotas.sends)
        self._tenant_sends = _policy(TENANT_SENDS, quotas.tenant_sends)
        cap = TurnCap(name=ACTIVE_TURNS, quota=quotas.active_turns) if quotas.active_turns else None
        self._of_calls = tuple(policy for policy in (self._requests,) if policy)
        self._of_sends = tuple(policy for policy in (self._requests, self._sends, cap) if policy)

    async def count_call(self, who: Subject, action: Action) -> None:
        """Counts an authenticated call, and looks at the user's sends when the call is one.

        Raises RateLimited; then the call was not counted.
        """
        sends = action in SENDING
        note_policies(self._of_sends if sends else self._of_calls)
        holder = user_holder(who.tenant_id, who.user_id)
        uses = [Use(self._requests, holder)] if self._requests else []
        if sends and self._sends:
            uses.append(Use(self._sends, holder, 0))
        if uses:
            self._granted(uses, await self._limiter.take(uses))

    @asynccontextmanager
    async def sending(self, scope: AccessScope) -> AsyncIterator["SendPermit"]:
        """A send counts once inside, if it is accepted: leaving the block without `keep` gives back what was taken."""
        permit = SendPermit(self, scope)
        try:
            yield permit
        finally:
            if permit.taken is not None and not permit.kept:
                with anyio.move_on_after(_GIVEN_BACK_WITHIN_S, shield=True):
                    await self._limiter.give_back(permit.taken)

    async def take_send(self, scope: AccessScope) -> Permit | None:
        """Counts a send, of its user and of its tenant. Raises RateLimited."""
        uses = self._sends_of(scope, 1)
        return self._granted(uses, await self._limiter.take(uses)) if uses else None

    async def require_room(self, scope: AccessScope) -> None:
        """Raises RateLimited where `take_send` would, and counts nothing."""
        if not (uses := self._sends_of(scope, 0)):
            return
        verdict = await self._limiter.take(uses)
        if over := violated(self._sends_of(scope, 1), verdict.standings):
            raise self._refusal(over)

    def _sends_of(self, scope: AccessScope, count: int) -> Sequence[Use]:
        holders = (
            (self._sends, user_holder(scope.tenant_id, scope.user_id)),
            (self._tenant_sends, tenant_holder(scope.tenant_id)),
        )
        return [Use(policy, holder, count) for policy, holder in holders if policy]

    def _granted(self, uses: Sequence[Use], verdict: Verdict) -> Permit | None:
        for standing in verdict.standings:
            note_standing(standing)
        if verdict.permit is None:
            raise self._refusal(violated(uses, verdict.standings))
        return verdict.permit

    def _refusal(self, standings: Sequence[Standing]) -> RateLimited:
        for standing in standings:
            self._telemetry.count(Counted.RATE_LIMITED, scope=standing.policy.name)
        return refusal_of(standings)


class SendPermit:
    """The place of one send under the rates, whatever it takes to accept it."""

    def __init__(self, rates: Rates, scope: AccessScope) -> None:
        self._rates = rates
        self._scope = scope
        self._asked = False
        self.taken: Permit | None = None
        self.kept = False

    async def take(self) -> None:
        """Once, however often it is called. Raises RateLimited."""
        if not self._asked:
            self.taken = await self._rates.take_send(self._scope)
            self._asked = True

    async def require_room(self) -> None:
        """Raises RateLimited where `take` would, and takes nothing."""
        if not self._asked:
            await self._rates.require_room(self._scope)

    def keep(self) -> None:
        """The send was accepted."""
        self.kept = True


def refusal_of(standings: Sequence[Standing]) -> RateLimited:
    """Retrying any earlier than it says is in vain."""
    pause_ms = max((standing.grows_in_ms or 0 for standing in standings), default=0)
    return RateLimited(
        "You are sending too many requests.",
        retry_after=timedelta(milliseconds=pause_ms),
        members={"violated_policies": tuple(standing.policy.name for standing in standings)},
    )


def _policy(name: str, quota: int) -> RatePolicy | None:
    return RatePolicy(name=name, quota=quota) if quota else None
