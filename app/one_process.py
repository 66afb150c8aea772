"""One serving process, from its first request to its last.

    SIGTERM ─▶ not ready, sends refused ─▶ accept window ─▶ turns end, or are ended ─▶ server stops

SIGINT skips the accept window, because no balancer has to notice. A second signal ends the turns that still run,
a third ends the process at once.
"""

import gc
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from typing import NoReturn

import anyio
from anyio.abc import TaskStatus

from api.rest.edge import any_host
from app.bootstrap import build
from app.http_app import create_http_app
from app.http_protocol import HeadLimits
from app.lifespan import running
from app.runtime import Runtime
from app.settings import DrainSettings, Settings
from app.web_server import WebServer
from domain.auth.loopback import names_loopback

_LATECOMERS_EVERY_S = 0.1

_OBJECTS_BETWEEN_COLLECTIONS = 10_000
"""Deltas come and go without cycles: the default of 700 would look for them dozens of times a second."""


async def serve_on(settings: Settings, address: str, listener: socket.socket, announce: Callable[[], None]) -> None:
    """Serves the listener from this process until a signal says otherwise."""
    runtime = build(settings, address, os.environ)
    server = WebServer(
        create_http_app(
            runtime.rest,
            clock=runtime.clock,
            gateway_prefix=settings.gateway_prefix,
            url_prefix=settings.url_prefix,
            host_check=names_loopback if settings.answers_loopback_names_only else any_host,
        ),
        HeadLimits(within=settings.http.head_timeout),
    )
    async with running(runtime, settings), anyio.create_task_group() as tasks:
        await tasks.start(_stop_on_signal, runtime, server, settings.drain)
        # What exists by now lives as long as the process; the collector need not look at it for every thousand deltas.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
        announce()
        await server.serve(sockets=[listener])
        tasks.cancel_scope.cancel()


async def _stop_on_signal(
    runtime: Runtime,
    server: WebServer,
    drain: DrainSettings,
    *,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        first = await anext(signals)
        runtime.drain.begin()
        async with anyio.create_task_group() as patience:
            patience.start_soon(_cancel_on_next, signals, patience.cancel_scope)
            if first == signal.SIGTERM:
                await anyio.sleep(drain.accept_window.total_seconds())
            await runtime.supervisor.wait_idle(drain.turn_deadline)
            patience.cancel_scope.cancel()
    await _end_all(runtime)
    server.should_exit = True
    await _end_latecomers(runtime)


async def _end_latecomers(runtime: Runtime) -> NoReturn:
    """A send that was let in before the drain may begin its turn only now, when its body has come."""
    while True:
        await anyio.sleep(_LATECOMERS_EVERY_S)
        await _end_all(runtime)


async def _end_all(runtime: Runtime) -> None:
    runtime.followers.end_all()
    await runtime.supervisor.end_all()


async def _cancel_on_next(signals: AsyncIterator[signal.Signals], scope: anyio.CancelScope) -> None:
    await anext(signals)
    scope.cancel()
