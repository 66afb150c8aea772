"""A Redis server that keeps nothing: for the test session, or one of a test's own that may be killed.

A container when a Docker daemon answers, else a `redis-server` from PATH. Either is gone after its block; the local
one ends with the test process, however that one ends.
"""

import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from testcontainers.core.container import DockerContainer

from tests.harness.docker import docker_answers
from tests.harness.processes import die_with_parent, free_port

_IMAGE: Final = "redis:8-alpine"
_KEEPS_NOTHING: Final = ("--save", "", "--appendonly", "no")
_PORT: Final = 6379
_STARTS_WITHIN_S: Final = 30
_POLL_SECONDS: Final = 0.02


class RedisServer(Protocol):
    """`url` stays the same over a restart."""

    kind: str
    url: str

    def kill(self) -> None:
        """Without a goodbye; whoever is connected notices."""

    def freeze(self) -> None:
        """From now on it takes connections and says nothing."""

    def thaw(self) -> None: ...

    def start(self) -> None:
        """Returns when it answers, empty."""


class LocalRedis:
    kind = "local process"

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._port = free_port()
        self._popen: subprocess.Popen[bytes] | None = None
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        address = ("--bind", "127.0.0.1", "--port", str(self._port), "--dir", self._folder)
        self._popen = subprocess.Popen(  # noqa: S603 -- our own command line
            (_program(), *address, *_KEEPS_NOTHING),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            preexec_fn=die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 -- one system call, no lock
        )
        _wait_until_it_answers("127.0.0.1", self._port)

    def kill(self) -> None:
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._popen is not None
        self._popen.send_signal(number)


class RedisInContainer:
    kind = "container"

    def __init__(self) -> None:
        port = free_port()
        command = shlex.join(("redis-server", *_KEEPS_NOTHING))
        self._container = DockerContainer(_IMAGE, command=command).with_bind_ports(_PORT, port)
        self._container.start()
        self._place = (self._container.get_container_host_ip(), port)
        self.url = f"redis://{self._place[0]}:{port}/0"
        _wait_until_it_answers(*self._place)

    def remove(self) -> None:
        self._container.stop()

    def start(self) -> None:
        self._container.get_wrapped_container().start()
        _wait_until_it_answers(*self._place)

    def kill(self) -> None:
        self._container.get_wrapped_container().kill()

    def freeze(self) -> None:
        self._container.get_wrapped_container().pause()

    def thaw(self) -> None:
        self._container.get_wrapped_container().unpause()


@contextmanager
def running_redis() -> Iterator[RedisServer]:
    if docker_answers():
        container = RedisInContainer()
        try:
            yield container
        finally:
            container.remove()
        return
    with tempfile.TemporaryDirectory(prefix="mini-chat-redis-") as folder:
        server = LocalRedis(folder)
        try:
            server.start()
            yield server
        finally:
            server.kill()


def _program() -> str:
    program = shutil.which("redis-server")
    if program is None:
        raise FileNotFoundError("these tests need a redis-server on PATH, or Docker")
    return program


def _wait_until_it_answers(host: str, port: int) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN_S
    while not _answers(host, port):
        if time.monotonic() > deadline:
            raise TimeoutError(f"no Redis answers on port {port}")
        time.sleep(_POLL_SECONDS)


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
