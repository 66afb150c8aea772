"""`RateLimit-Policy` and `RateLimit`: structured fields (RFC 9651) that say what applies and what is left."""

from functools import lru_cache

from domain.limits.models import RatePolicy, Standing, TurnCap
from domain.limits.standings import Standings

Header = tuple[bytes, bytes]


def rate_limit_headers(standings: Standings) -> list[Header]:
    """None for a call whose caller was not found out, and nothing about what is limited for others."""
    if not standings.policies:
        return []
    known = [standings.latest[policy.name] for policy in standings.policies if policy.name in standings.latest]
    headers = [(b"ratelimit-policy", _policies(standings.policies))]
    if known:
        headers.append((b"ratelimit", ", ".join(map(_standing, known)).encode("ascii")))
    return headers


@lru_cache
def _policies(policies: tuple[RatePolicy | TurnCap, ...]) -> bytes:
    return ", ".join(map(_policy, policies)).encode("ascii")


def _policy(policy: RatePolicy | TurnCap) -> str:
    if isinstance(policy, TurnCap):
        return f'"{policy.name}";q={policy.quota};qu="concurrent-requests"'
    return f'"{policy.name}";q={policy.quota};w={round(policy.window.total_seconds())}'


def _standing(standing: Standing) -> str:
    left = f'"{standing.policy.name}";r={standing.remaining}'
    return left if standing.grows_in_ms is None else f"{left};t={-(-standing.grows_in_ms // 1000)}"
