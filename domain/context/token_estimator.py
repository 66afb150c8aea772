"""Tokens where nobody counted them (engine.md 4.3). Integers only."""

from collections.abc import Collection

from domain.catalogue.models import Estimation
from domain.providers.events import ToolName
from domain.rounding import cdiv


def estimate_prompt_tokens(utf8_bytes: int, budgets: Estimation) -> int:
    """What a prompt of this size will probably cost, on the safe side."""
    bare = cdiv(utf8_bytes, budgets.bytes_per_token) + budgets.fixed_overhead
    return cdiv(bare * (100 + budgets.margin_pct), 100)


def estimate_output_tokens(utf8_bytes: int, budgets: Estimation) -> int:
    """What was probably generated, never below the floor: a call that was made is never free."""
    return max(budgets.generation_floor, cdiv(utf8_bytes, budgets.bytes_per_token))


def attachment_tokens(images: int, tools: Collection[ToolName], budgets: Estimation) -> int:
    """What images and the tools that are really attached add to a prompt."""
    surcharges = {
        ToolName.FILE_SEARCH: budgets.file_search,
        ToolName.WEB_SEARCH: budgets.web_search,
        ToolName.CODE_INTERPRETER: budgets.code_interpreter,
    }
    return images * budgets.image + sum(surcharges.get(tool, 0) for tool in tools)
