"""Real processes under test: started, watched, signalled, and certain to end with the test."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import anyio

_POLL_SECONDS = 0.02
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_FOREIGN_SETTINGS = ("MINI_CHAT_", "OPENAI_", "AZURE_OPENAI_", "ANTHROPIC_")


class ProcessEnded(AssertionError):
    """It was gone before it did what the test waits for; the message carries what it printed."""


class ChildProcess:
    """One child by its pid. `output()` is everything it has written so far, both streams in order."""

    def __init__(self, popen: subprocess.Popen[bytes], log: Path) -> None:
        self._popen = popen
        self._log = log

    @property
    def directory(self) -> Path:
        return self._log.parent

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def is_running(self) -> bool:
        return self._popen.poll() is None

    def output(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def signal(self, number: signal.Signals) -> None:
        """TERM, KILL, STOP, CONT, INT: nothing happens if the process has ended."""
        self._popen.send_signal(number)

    async def exited(self) -> int:
        """Waits for the end and returns the exit status, minus the signal's number for a killed one."""
        while (status := self._popen.poll()) is None:  # noqa: ASYNC110 -- a process rings no event
            await anyio.sleep(_POLL_SECONDS)
        return status

    async def kill(self) -> None:
        self.signal(signal.SIGKILL)
        await self.exited()

    async def printed(self, text: str) -> None:
        """Waits until the process has written `text`; raises ProcessEnded if it ends without."""
        while text not in self.output():
            self.must_run()
            await anyio.sleep(_POLL_SECONDS)

    def must_run(self) -> None:
        if (status := self._popen.poll()) is not None:
            raise ProcessEnded(f"exit status {status}, output:\n{self.output()}")


class Server(ChildProcess):
    """A child that answers HTTP on a loopback port."""

    def __init__(self, popen: subprocess.Popen[bytes], log: Path, port: int) -> None:
        super().__init__(popen, log)
        self.port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def answers(self, path: str) -> None:
        """Waits until GET `path` is 200; raises ProcessEnded if the server ends first."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
            while not await _is_ok(session, self.url + path):
                self.must_run()
                await anyio.sleep(_POLL_SECONDS)


@asynccontextmanager
async def child_process(
    command: Sequence[str | Path],
    *,
    directory: Path,
    env: Mapping[str, str] | None = None,
    grace_seconds: float = 5,
) -> AsyncIterator[ChildProcess]:
    """Runs `command` in `directory`; leaving the block ends it: TERM, and KILL after `grace_seconds`."""
    log = _new_log(directory)
    child = ChildProcess(_spawn(command, directory, env or {}, log), log)
    try:
        yield child
    finally:
        await _end(child, grace_seconds)


@asynccontextmanager
async def http_server(
    command: Sequence[str | Path],
    *,
    port: int,
    ready_path: str,
    directory: Path,
    env: Mapping[str, str] | None = None,
    ready_within_seconds: float = 60,
) -> AsyncIterator[Server]:
    """Like `child_process`, entered once GET `ready_path` on `port` answers 200.

    Raises ProcessEnded if it ends before, TimeoutError if it stays silent for `ready_within_seconds`.
    """
    log = _new_log(directory)
    server = Server(_spawn(command, directory, env or {}, log), log, port)
    try:
        with anyio.fail_after(ready_within_seconds):
            await server.answers(ready_path)
        yield server
    finally:
        await _end(server, grace_seconds=5)


@asynccontextmanager
async def mini_chat(
    directory: Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    port: int | None = None,
    ready_within_seconds: float = 60,
) -> AsyncIterator[Server]:
    """A real `mini-chat serve` at home in `directory` (its `.mini-chat/` too), ready to serve.

    `env` is all it sees of settings and keys of providers: those of whoever runs the tests stay outside.
    """
    port = port or free_port()
    async with http_server(
        [mini_chat_command(), "serve", "--port", str(port), *arguments],
        port=port,
        ready_path="/readyz",
        directory=directory,
        env=env,
        ready_within_seconds=ready_within_seconds,
    ) as server:
        yield server


def mini_chat_command() -> Path:
    """The console script of the environment that runs the tests."""
    return Path(sys.executable).with_name("mini-chat")


def free_port() -> int:
    """A loopback port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def clean_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without settings meant for a mini-chat, and with `extra`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN_SETTINGS)}
    return inherited | {"PYTHONUNBUFFERED": "1"} | dict(extra)


def _spawn(
    command: Sequence[str | Path], directory: Path, env: Mapping[str, str], log: Path
) -> subprocess.Popen[bytes]:
    with log.open("ab") as sink:
        return subprocess.Popen(  # noqa: S603 -- the command line is the test's own
            command,
            cwd=directory,
            env=clean_environment(env),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 -- one system call, no lock
        )


def die_with_parent() -> None:
    """To be called in a child before it becomes its program."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _new_log(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory / f"output-{len(list(directory.glob('output-*.log'))) + 1}.log"


async def _end(child: ChildProcess, grace_seconds: float) -> None:
    """A stopped process is continued first, since TERM would wait for that."""
    with anyio.CancelScope(shield=True):
        child.signal(signal.SIGCONT)
        child.signal(signal.SIGTERM)
        with anyio.move_on_after(grace_seconds):
            await child.exited()
            return
        await child.kill()


async def _is_ok(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
