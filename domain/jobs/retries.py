"""What becomes of a job that failed: another attempt later, or a dead letter. Pure."""

from datetime import timedelta

import msgspec


class JobFailed(Exception):
    """`code` is a stable slug for operators. A `permanent` failure is not tried again.

    `retry_after` is what the other side asked for; it lengthens the pause and never shortens it.
    """

    def __init__(self, code: str, *, permanent: bool = False, retry_after: timedelta | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.permanent = permanent
        self.retry_after = retry_after


class Retries(msgspec.Struct, frozen=True, kw_only=True):
    """Exponential with full jitter. A job whose worker was lost has used up an attempt as well."""

    attempts: int
    base: timedelta
    longest: timedelta

    def spent(self, attempts_before: int) -> bool:
        """Whether no attempt is left."""
        return attempts_before >= self.attempts

    def pause(self, attempts_before: int, chance: float, asked: timedelta | None = None) -> timedelta:
        """`chance` in 0..1; a random one spreads jobs that failed together."""
        # The exponent is bounded too, for a timedelta is.
        ceiling: timedelta = min(self.base * 2.0 ** min(attempts_before, 32), self.longest)
        return max(ceiling * chance, asked or timedelta(0))
