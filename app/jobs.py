"""The jobs of this deployment: what is done with each kind, how often it is tried, and what happens every hour."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from app.exports import Sinks
from app.settings import Settings
from domain.audit.events import Stream
from domain.audit.exporting import Exporting
from domain.audit.ports import EventTx
from domain.jobs.payloads import ExportAudit, ExportUsage, Job, queue_of
from domain.jobs.retries import Retries
from domain.telemetry.ports import Telemetry
from domain.unit_of_work import UnitOfWork
from infra.jobs.handling import Work
from infra.jobs.retention import Retention
from infra.jobs.runner import JobRunner, RunnerLimits, Tick

EXPORT_RETRIES: Final = Retries(attempts=20, base=timedelta(seconds=1), longest=timedelta(minutes=10))
"""Enough for a sink that is down for an hour."""

HOURLY: Final = "7 * * * *"

_PATIENCE: Final = timedelta(seconds=10)
"""What a job may take beside its delivery."""


class Handling:
    """A job, handed to the use case that does it."""

    def __init__(self, exporting: Exporting) -> None:
        self._exporting = exporting

    async def handle(self, job: Job) -> None:
        match job:
            case ExportAudit():
                await self._exporting.export(Stream.AUDIT, job.tenant_id, job.event_id)
            case ExportUsage():
                await self._exporting.export(Stream.USAGE, job.tenant_id, job.event_id)


@dataclass(frozen=True, kw_only=True)
class Background:
    """Jobs are done, and sinks reached, between entering and leaving `running`."""

    sinks: Sinks
    runner: JobRunner

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with self.sinks.running(), self.runner.running():
            yield


def background(
    settings: Settings, address: str, begin: UnitOfWork[EventTx], sinks: Sinks, telemetry: Telemetry, *ticks: Tick
) -> Background:
    """`address` is that of the service's own role, `begin` on connections that nobody else waits for."""
    runner = _runner(settings, address, Exporting(begin, sinks.consumers), telemetry, *ticks)
    return Background(sinks=sinks, runner=runner)


def _runner(
    settings: Settings, address: str, exporting: Exporting, telemetry: Telemetry, *further_ticks: Tick
) -> JobRunner:
    jobs = settings.jobs
    export = Work(
        handle=Handling(exporting).handle, retries=EXPORT_RETRIES, deadline=settings.exports.timeout + _PATIENCE
    )
    limits = RunnerLimits(
        batch=jobs.batch,
        per_tenant=jobs.per_tenant,
        poll=jobs.poll,
        lease=jobs.lease,
        drain=jobs.drain,
        statement=settings.database.statement_timeout,
    )
    retention = Tick(name="retention", cron=HOURLY, work=Retention(address, jobs.retention).forget)
    return JobRunner(
        address,
        limits,
        {queue_of(kind): export for kind in (ExportAudit, ExportUsage)},
        (retention, *further_ticks),
        telemetry,
    )
