"""Opens a runtime top-down and closes it in reverse; whoever serves, and every test, does it through here."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

import anyio

from app.database import check_database
from app.periodic import every
from app.runtime import Runtime
from app.settings import Settings
from domain.operations.dead_letters import LOOKED_AT_EVERY
from infra.providers.key_ring import KEYS_REREAD_EVERY
from infra.telemetry.tracing import exporting


@asynccontextmanager
async def running(runtime: Runtime, settings: Settings) -> AsyncIterator[None]:
    """Turns can run inside. On leaving, turns that still run are ended and settled before anything closes.

    Raises DatabaseUnusable when the database cannot be reached or would not keep tenants apart.
    """
    try:
        await check_database(runtime.pools)
        async with (
            exporting(runtime.telemetry),
            runtime.providers,
            runtime.supervisor.running(),
            runtime.messaging.running(),
            runtime.mirrors.running(),
            runtime.followers.running(),
            runtime.policy_watch.running(),
            runtime.background.running() if settings.jobs.embedded else nullcontext(),
            anyio.create_task_group() as loops,
        ):
            loops.start_soon(every, settings.turn.heartbeat, "lease_beat", runtime.beat.beat)
            loops.start_soon(every, settings.cancel.poll_interval, "cancel_watch", runtime.cancel_watch.look)
            loops.start_soon(every, settings.turn.reaper_interval, "reaper", runtime.reaper.sweep)
            loops.start_soon(every, settings.quota.audit_interval, "hold_audit", runtime.hold_audit.sweep)
            loops.start_soon(every, LOOKED_AT_EVERY, "dead_letters", runtime.dead_letters.look)
            loops.start_soon(
                every, KEYS_REREAD_EVERY, "provider_keys", runtime.providers.reread_keys, runtime.keys_refused
            )
            yield
            await runtime.supervisor.end_all()
            loops.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await runtime.pools.dispose()
