"""Tokens where nobody counted them (engine.md 4.3). Integers only."""

from domain.catalogue.models import Estimation


def cdiv(dividend: int, divisor: int) -> int:
    """Integer division rounded up."""
    return -(-dividend // divisor)


def estimate_prompt_tokens(utf8_bytes: int, budgets: Estimation) -> int:
    """What a prompt of this size will probably cost, on the safe side."""
    bare = cdiv(utf8_bytes, budgets.bytes_per_token) + budgets.fixed_overhead
    return cdiv(bare * (100 + budgets.margin_pct), 100)


def estimate_output_tokens(utf8_bytes: int, budgets: Estimation) -> int:
    """What was probably generated, never below the floor: a call that was made is never free."""
    return max(budgets.generation_floor, cdiv(utf8_bytes, budgets.bytes_per_token))
