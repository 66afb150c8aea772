"""`mini-chat serve`: the database, the socket, then one process or a parent of several."""

import socket
from contextlib import closing

import click

from app.config_layers import Mistakes
from app.database import database
from app.event_loop import run
from app.one_process import serve_on
from app.settings import Settings
from app.web_server import AddressTaken, listen
from app.welcome import welcome
from app.workers import supervise
from infra.postgres.unusable import DatabaseUnusable


def serve(settings: Settings) -> int:
    """Returns the exit code when the server has been told to stop. Raises Mistakes for what keeps it from starting."""
    try:
        with closing(listen(settings.http.host, settings.http.port)) as listener:
            run(_serve, settings, listener)
    except AddressTaken as fault:
        raise Mistakes((f"http.port: {fault}",)) from None
    except DatabaseUnusable as fault:
        raise Mistakes((str(fault),)) from None
    return 0


async def _serve(settings: Settings, listener: socket.socket) -> None:
    async with database(settings) as address:
        if settings.http.workers > 1:
            await supervise(settings, address, listener)
        else:
            await serve_on(settings, address, listener, lambda: click.echo(welcome(settings, listener.getsockname())))
