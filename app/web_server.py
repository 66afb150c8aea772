"""uvicorn, on sockets of our making and with signals left to us."""

import contextlib
import socket
from collections.abc import Iterator
from datetime import timedelta

import uvicorn
from litestar.types import ASGIApp
from typing_extensions import override

from app.http_protocol import HeadLimits, turn_protocol

_BACKLOG = 2048
_KEEP_ALIVE_S = 75
"""Above the usual idle time of a load balancer, so that it and not we close an idle connection."""
_SEND_BUFFER_BYTES = 64 * 1024
_GONE_AFTER = timedelta(seconds=30)


class AddressTaken(Exception):
    """The text is one line for the person at the terminal."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket whose connections notice a peer that vanished; they inherit its options.

    A reader that does not read pins one send buffer and no more. Raises AddressTaken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        timeout_ms = int(_GONE_AFTER.total_seconds() * 1000)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout_ms)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as fault:
        listener.close()
        raise AddressTaken(f"cannot listen on {host}:{port}: {fault.strerror}") from None
    listener.setblocking(False)
    return listener


class WebServer(uvicorn.Server):
    """Serves until `should_exit`; who sets that has drained before."""

    def __init__(self, app: ASGIApp, head: HeadLimits) -> None:
        config = uvicorn.Config(
            app,
            http=turn_protocol(head),
            ws="none",
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=5,
        )
        super().__init__(config)

    @contextlib.contextmanager
    @override
    def capture_signals(self) -> Iterator[None]:
        yield
