"""Several processes behind one listening socket: the parent owns the database, the children answer.

A child that dies is replaced; a parent that dies takes its children with it, because each of them watches its pipe.
"""

import logging
import multiprocessing
import os
import signal
import socket
from multiprocessing.process import BaseProcess

import anyio
import click
from anyio.abc import TaskStatus

from app.bootstrap import build
from app.database import check_database
from app.event_loop import run
from app.one_process import serve_on
from app.settings import Settings
from app.welcome import welcome
from infra.telemetry.logs import configure_logs

_log = logging.getLogger(__name__)
_RESTART_PAUSE_S = 1.0
_DISPOSE_WITHIN_S = 5.0
_ORPHAN_LIVES_S = 4.0


async def supervise(settings: Settings, address: str, listener: socket.socket) -> None:
    """Returns when every worker has drained after a signal.

    What no worker could start with is found before any is started: raises Mistakes or DatabaseUnusable.
    """
    await _rehearse(settings, address)
    team = [_Worker(settings, address, listener) for _ in range(settings.http.workers)]
    async with anyio.create_task_group() as watching:
        await watching.start(_pass_signals_on, team)
        async with anyio.create_task_group() as running:
            for worker in team:
                running.start_soon(worker.keep_running)
            click.echo(welcome(settings, listener.getsockname()))
        watching.cancel_scope.cancel()


async def _rehearse(settings: Settings, address: str) -> None:
    runtime = build(settings, address, os.environ)
    try:
        await check_database(runtime.pools)
    finally:
        with anyio.move_on_after(_DISPOSE_WITHIN_S, shield=True):
            await runtime.pools.dispose()


async def _pass_signals_on(team: "list[_Worker]", *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for received in signals:
            for worker in team:
                worker.stop(received)


class _Worker:
    """One seat; whoever dies in it is replaced until it is told to stop."""

    def __init__(self, settings: Settings, address: str, listener: socket.socket) -> None:
        self._start = (settings, address, listener)
        self._process: BaseProcess | None = None
        self._stopping = False

    async def keep_running(self) -> None:
        while not self._stopping:
            process = multiprocessing.get_context("spawn").Process(target=_work, args=self._start)
            process.start()
            self._process = process
            await anyio.wait_readable(process.sentinel)
            process.join()
            if not self._stopping:
                _log.error("worker_died", extra={"exit_code": process.exitcode})
                await anyio.sleep(_RESTART_PAUSE_S)

    def stop(self, received: signal.Signals) -> None:
        self._stopping = True
        if self._process is not None and self._process.pid is not None and self._process.is_alive():
            os.kill(self._process.pid, received)


def _work(settings: Settings, address: str, listener: socket.socket) -> None:
    """A worker's whole life. Ctrl-C in the terminal reaches the parent alone, which passes it on."""
    os.setpgrp()
    configure_logs(settings.logging.level)
    run(_serve, settings, address, listener)


async def _serve(settings: Settings, address: str, listener: socket.socket) -> None:
    async with anyio.create_task_group() as watching:
        watching.start_soon(_stop_with_parent)
        await serve_on(settings, address, listener, lambda: None)
        watching.cancel_scope.cancel()


async def _stop_with_parent() -> None:
    """Ends the turns at once, as two signals in a row do, and the process soon: the database may be gone as well."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        await anyio.wait_readable(parent.sentinel)
        _log.error("parent_died")
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        await anyio.sleep(_ORPHAN_LIVES_S)
        os._exit(1)
