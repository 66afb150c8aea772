"""What the system asks models by itself, and on whose account."""

from app.config_layers import Mistakes
from app.model_access import ModelAccess
from app.settings import Settings
from domain.clock import Clock
from domain.summaries.ports import SummaryTx
from domain.summaries.service import Summarising, SummaryWording
from domain.system_calls.choosing import SystemModels
from domain.system_calls.models import SystemTask
from domain.system_calls.ports import SystemCallTx
from domain.system_calls.service import SystemCalls
from domain.telemetry.ports import Telemetry
from domain.unit_of_work import UnitOfWork


def system_calls(
    settings: Settings, access: ModelAccess, begin: UnitOfWork[SystemCallTx], clock: Clock, telemetry: Telemetry
) -> SystemCalls:
    """Raises Mistakes for a model that is configured and not in the catalogue."""
    return SystemCalls(
        begin,
        SystemModels(access.listed, access.board, _configured(settings, access), clock),
        access.providers,
        settings.estimation,
        settings.limits.tenant.system_daily_credits_micro,
        settings.quota.overshoot_tolerance_pct,
        access.pseudonymiser,
        clock,
        telemetry,
    )


def summarising(
    settings: Settings,
    access: ModelAccess,
    begin: UnitOfWork[SummaryTx],
    calls: SystemCalls,
    clock: Clock,
    telemetry: Telemetry,
) -> Summarising:
    wording = SummaryWording(prompt=settings.summary.prompt, message_chars=settings.summary.message_chars)
    return Summarising(begin, calls, access.providers, wording, settings.estimation, clock, telemetry)


def _configured(settings: Settings, access: ModelAccess) -> dict[SystemTask, str]:
    summary, title = settings.summary.model, settings.titles.model
    wanted = {
        SystemTask.SUMMARY: ("summary.model", summary),
        SystemTask.TITLE: ("titles.model", title) if title else ("summary.model", summary),
    }
    known = {model.id for model in access.listed.given}
    missing = {f"{key}: there is no model {name!r}" for key, name in wanted.values() if name and name not in known}
    if missing:
        raise Mistakes(tuple(sorted(missing)))
    return {task: name for task, (_, name) in wanted.items() if name}
