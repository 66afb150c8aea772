"""`mini-chat worker`: the jobs of the deployment in a process of their own, which answers nobody."""

import os
import signal

import anyio
import click

from app.config_layers import Mistakes
from app.database import check_database, open_pools, transaction_limits
from app.event_loop import run
from app.exports import build_sinks
from app.jobs import background
from app.model_access import model_access
from app.settings import Settings
from app.signing_keys import cursor_keys
from app.system_work import summarising, system_calls
from domain.clock import SystemClock
from domain.providers.pseudonyms import Pseudonymiser
from infra.postgres.repositories.events import EventKeeping
from infra.postgres.unit_of_work import PostgresUnitOfWork
from infra.postgres.unusable import DatabaseUnusable
from infra.telemetry.tracing import exporting, telemetry_for


def work(settings: Settings) -> int:
    """Returns the exit code after SIGTERM or SIGINT. Raises Mistakes for what keeps it from starting."""
    if settings.database.url is None:
        raise Mistakes(("database.url: a worker needs the database of its servers; `serve` without one does its jobs",))
    try:
        run(_work, settings, settings.database.url)
    except DatabaseUnusable as fault:
        raise Mistakes((str(fault),)) from None
    return 0


async def _work(settings: Settings, address: str) -> None:
    exported = settings.telemetry
    telemetry = telemetry_for(exported.otlp_endpoint, exported.service_name, exported.export_deadline)
    clock = SystemClock()
    sinks = build_sinks(settings, os.environ, clock)
    pools, limits = open_pools(settings.database, address), transaction_limits(settings.database)
    keeping = EventKeeping(exported=sinks.streams, retention=settings.audit.retention)
    begin = PostgresUnitOfWork(pools.background, limits, keeping)
    pseudonymiser = Pseudonymiser(cursor_keys(settings, os.environ).current)
    access = model_access(settings, os.environ, pseudonymiser, pools, limits, clock, telemetry)
    calls = system_calls(settings, access, begin, clock, telemetry)
    summaries = summarising(settings, access, begin, calls, clock, telemetry)
    jobs = background(settings, address, begin, sinks, calls, summaries, telemetry)
    try:
        await check_database(pools)
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with exporting(telemetry), access.running(settings.switches.poll_interval), jobs.running():
                click.echo("mini-chat: doing jobs")
                await anext(signals)
    finally:
        with anyio.CancelScope(shield=True):
            await pools.dispose()
