"""What is to be done once a turn has been answered: jobs of the transaction that ends it (engine.md 6.3)."""

from collections.abc import Sequence

from domain.jobs.payloads import Job, SummariseThread
from domain.streaming.ports import TurnBrief
from domain.telemetry.ports import Counted, Telemetry
from domain.turns.models import TurnResult, TurnState


def follow_ups_of(brief: TurnBrief, result: TurnResult) -> tuple[Job, ...]:
    """None for an answer without text: later prompts do not show it."""
    if result.state is not TurnState.COMPLETED or not result.text:
        return ()
    return tuple(job for job in (brief.summary_due, brief.title_due) if job is not None)


def count_follow_ups(telemetry: Telemetry, jobs: Sequence[Job]) -> None:
    if any(isinstance(job, SummariseThread) for job in jobs):
        telemetry.count(Counted.THREAD_SUMMARY_TRIGGER, result="scheduled")
