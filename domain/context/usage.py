"""What a call is said to have used (engine.md 4.6): reported where it makes sense, else estimated, never free. Pure."""

import msgspec

from domain.catalogue.models import MOST_TOKENS, Estimation
from domain.context.token_estimator import estimate_output_tokens
from domain.providers.events import Usage
from domain.quotas.models import UsageSource


class ResolvedUsage(msgspec.Struct, frozen=True, kw_only=True):
    source: UsageSource
    input_tokens: int
    output_tokens: int


NOTHING_USED = ResolvedUsage(source=UsageSource.UNKNOWN, input_tokens=0, output_tokens=0)


def resolve_usage(
    reported: Usage | None,
    *,
    called: bool,
    prompt_estimate: int,
    generated_bytes: int,
    max_output_tokens: int,
    budgets: Estimation,
) -> ResolvedUsage:
    """Both numbers usable: reported. One of them or none: what is missing is estimated. Not called: unknown, zero.

    An estimated answer is never longer than the `max_output_tokens` that were asked for.
    """
    if not called:
        return NOTHING_USED
    input_tokens = _usable(reported.input_tokens) if reported else None
    output_tokens = _usable(reported.output_tokens) if reported else None
    both_zero = input_tokens == 0 and output_tokens == 0
    if input_tokens is not None and output_tokens is not None and not both_zero:
        return ResolvedUsage(source=UsageSource.REPORTED, input_tokens=input_tokens, output_tokens=output_tokens)
    return ResolvedUsage(
        source=UsageSource.ESTIMATED,
        input_tokens=input_tokens or prompt_estimate,
        output_tokens=output_tokens or min(estimate_output_tokens(generated_bytes, budgets), max_output_tokens),
    )


def invalid_reason(reported: Usage | None) -> str | None:
    """Why a number that was reported is not believed; None where it is, or where nothing was reported."""
    numbers = (reported.input_tokens, reported.output_tokens) if reported else ()
    told = [tokens for tokens in numbers if tokens is not None]
    if any(tokens < 0 for tokens in told):
        return "negative"
    return "out_of_bounds" if any(tokens > MOST_TOKENS for tokens in told) else None


def _usable(tokens: int | None) -> int | None:
    return tokens if tokens is not None and 0 <= tokens <= MOST_TOKENS else None
