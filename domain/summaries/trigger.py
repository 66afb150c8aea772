"""When a conversation is summarised, and up to where (engine.md 6.3). Pure."""

from typing import Annotated

import msgspec
from msgspec import Meta

from domain.context.assembler import Plan
from domain.context.history import History


class SummaryRules(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt is crowded from `threshold_pct` of its room on; the `keep_turns` newest turns stay as they are."""

    enabled: bool = True
    threshold_pct: Annotated[int, Meta(ge=1, le=99)] = 80
    keep_turns: Annotated[int, Meta(ge=1, le=50)] = 4


def summary_target(history: History, plan: Plan, rules: SummaryRules, recent_turns: int) -> int | None:
    """The seq up to which to summarise once the turn of this plan is answered; None if there is no need yet.

    All but the newest turns, that one included; and in any case what no longer fitted, for no prompt would show it
    again. A prompt is crowded too when it nears the number of turns that are read at most.
    """
    if not rules.enabled or not _is_crowded(history, plan, rules, recent_turns):
        return None
    return max(_ends(history, plan, rules), default=None)


def _is_crowded(history: History, plan: Plan, rules: SummaryRules, recent_turns: int) -> bool:
    return (
        plan.turns_dropped > 0
        or history.left_out_seq is not None
        or plan.filled_pct >= rules.threshold_pct
        or len(history.exchanges) * 100 >= recent_turns * rules.threshold_pct
    )


def _ends(history: History, plan: Plan, rules: SummaryRules) -> list[int]:
    ends: list[int] = []
    if len(history.exchanges) >= rules.keep_turns:
        ends.append(history.exchanges[-rules.keep_turns].end_seq)
    if plan.turns_dropped:
        ends.append(history.exchanges[plan.turns_dropped - 1].end_seq)
    if history.left_out_seq is not None:
        ends.append(history.left_out_seq + 1)
    return ends
