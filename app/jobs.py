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
from domain.jobs.payloads import ExportAudit, ExportUsage, Job, NameChat, SummariseThread, queue_of
from domain.jobs.retries import Retries
from domain.summaries.service import CALL_DEADLINE as SUMMARISING_DEADLINE
from domain.summaries.service import Summarising
from domain.system_calls.service import SystemCalls
from domain.telemetry.ports import Telemetry
from domain.titles.job import CALL_DEADLINE as NAMING_DEADLINE
from domain.titles.job import NamingJob
from domain.titles.ports import TitleTx
from domain.unit_of_work import UnitOfWork
from infra.jobs.handling import Work
from infra.jobs.retention import Retention
from infra.jobs.runner import JobRunner, RunnerLimits, Tick

EXPORT_RETRIES: Final = Retries(attempts=20, base=timedelta(seconds=1), longest=timedelta(minutes=10))
"""Enough for a sink that is down for an hour."""

NAMING_RETRIES: Final = Retries(attempts=2, base=timedelta(seconds=10), longest=timedelta(seconds=10))

SUMMARY_RETRIES: Final = Retries(attempts=3, base=timedelta(seconds=10), longest=timedelta(minutes=5))

HOURLY: Final = "7 * * * *"

_PATIENCE: Final = timedelta(seconds=10)
"""What a job may take beside its delivery."""


class Handling:
    """A job, handed to the use case that does it."""

    def __init__(self, exporting: Exporting, naming: NamingJob, summarising: Summarising) -> None:
        self._exporting = exporting
        self._naming = naming
        self._summarising = summarising

    async def handle(self, job: Job) -> None:
        match job:
            case ExportAudit():
                await self._exporting.export(Stream.AUDIT, job.tenant_id, job.event_id)
            case ExportUsage():
                await self._exporting.export(Stream.USAGE, job.tenant_id, job.event_id)
            case NameChat():
                await self._naming.do(job)
            case SummariseThread():
                await self._summarising.summarise(job)

    async def give_up(self, job: Job) -> None:
        """What is left to do where no attempt is left, and nobody needs to be told."""
        if isinstance(job, NameChat):
            await self._naming.give_up(job)


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
    settings: Settings,
    address: str,
    begin: UnitOfWork[TitleTx],
    sinks: Sinks,
    calls: SystemCalls,
    summarising: Summarising,
    telemetry: Telemetry,
    *ticks: Tick,
) -> Background:
    """`address` is that of the service's own role, `begin` on connections that nobody else waits for."""
    handling = Handling(Exporting(begin, sinks.consumers), NamingJob(begin, calls), summarising)
    return Background(sinks=sinks, runner=_runner(settings, address, handling, telemetry, *ticks))


def _runner(
    settings: Settings, address: str, handling: Handling, telemetry: Telemetry, *further_ticks: Tick
) -> JobRunner:
    jobs = settings.jobs
    export = Work(handle=handling.handle, retries=EXPORT_RETRIES, deadline=settings.exports.timeout + _PATIENCE)
    naming = Work(
        handle=handling.handle,
        retries=NAMING_RETRIES,
        deadline=NAMING_DEADLINE + _PATIENCE,
        give_up=handling.give_up,
    )
    summary = Work(handle=handling.handle, retries=SUMMARY_RETRIES, deadline=SUMMARISING_DEADLINE + _PATIENCE)
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
        {
            queue_of(ExportAudit): export,
            queue_of(ExportUsage): export,
            queue_of(NameChat): naming,
            queue_of(SummariseThread): summary,
        },
        (retention, *further_ticks),
        telemetry,
    )
