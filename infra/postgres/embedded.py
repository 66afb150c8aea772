"""A PostgreSQL of our own, below one folder, for `serve` without settings and for the tests.

    <folder>/lock         held by the process that runs the server; freed by the kernel however that process ends
    <folder>/cluster/     the data; appears under this name only when it is complete
    <folder>/run/         the socket, in a folder nobody else may enter; no TCP port is opened
    <folder>/server.log   what the server has to say, without statements and values

The server lives in a session of its own, so Ctrl-C in the terminal does not reach it before we have drained; it
asks the kernel for a fast shutdown when its parent dies, so nothing is left behind after a kill -9 either.
"""

import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import BinaryIO, Final

import anyio
import asyncpg
from anyio.abc import Process

from infra.postgres.binaries import major_version
from infra.postgres.os_account import OsAccount, account_for
from infra.postgres.unusable import DatabaseUnusable

DATABASE: Final = "mini_chat"
SUPERUSER: Final = "postgres"
RUNTIME_ROLE: Final = "mini_chat_app"

_CHILD: Final = Path(__file__).with_name("child.py")
_SOCKET: Final = ".s.PGSQL.5432"
_LONGEST_SOCKET_PATH_BYTES: Final = 103
_STATUS_LINE: Final = 7
_POLL_SECONDS: Final = 0.01

# Errors are logged without the statement and without the detail line, which quotes values of the row.
_SETTINGS: Final = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}
_FORGETFUL: Final = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "min_wal_size": "32MB",
    "max_wal_size": "128MB",
}


class Durability(Enum):
    """DISPOSABLE data may be lost with the machine: for tests."""

    KEPT = "kept"
    DISPOSABLE = "disposable"


class EmbeddedPostgresFailed(DatabaseUnusable):
    """The server does not run; the text is one line."""


class EmbeddedPostgres:
    """Not yet running when made. `start` and `stop` belong to one task of the main thread.

    The thread matters: the kernel takes the end of the thread that started the server for the end of its parent.
    """

    def __init__(
        self,
        folder: Path,
        bin_dir: Path,
        *,
        durability: Durability = Durability.KEPT,
        start_within: timedelta = timedelta(seconds=60),
        stop_within: timedelta = timedelta(seconds=30),
    ) -> None:
        self._folder, self._bin_dir = folder.absolute(), bin_dir.absolute()
        self._cluster = self._folder / "cluster"
        self._log = self._folder / "server.log"
        self._sockets = self._folder / "run"
        self._durability = durability
        self._start_within, self._stop_within = start_within, stop_within
        self._lock: BinaryIO | None = None
        self._server: Process | None = None

    @property
    def superuser_dsn(self) -> str:
        return self.dsn(SUPERUSER, DATABASE)

    @property
    def app_dsn(self) -> str:
        """The service's own address; its role exists once the database has been migrated."""
        return self.dsn(RUNTIME_ROLE, DATABASE)

    def dsn(self, role: str, database: str) -> str:
        """Valid while the server runs, for this user of the machine and root alone."""
        return f"postgresql://{role}@/{database}?host={self._sockets}"

    async def start(self) -> None:
        """Afterwards the server takes connections and the database exists, empty the first time.

        Waits for the server of a predecessor that was killed. Raises DatabaseUnusable: the folder is in use, cannot
        be reached, belongs to someone else or to another version of PostgreSQL, or the server will not start.
        """
        if sys.platform != "linux":
            raise EmbeddedPostgresFailed(
                "The embedded PostgreSQL needs Linux: set database.url to a server of your own."
            )
        self._take_lock()
        try:
            with anyio.fail_after(self._start_within.total_seconds()):
                await self._start()
        except TimeoutError:
            await self.stop()  # noqa: ASYNC120 - stop() shields itself
            raise EmbeddedPostgresFailed(
                f"PostgreSQL did not start within {self._start_within}; see {self._log}."
            ) from None
        except BaseException:
            await self.stop()  # noqa: ASYNC102 - stop() shields itself
            raise

    async def stop(self) -> None:
        """Ends every connection, writes a checkpoint, frees the folder. Does nothing when not running."""
        with anyio.CancelScope(shield=True):
            if self._server is not None:
                await self._end(self._server)
                self._server = None
        if self._sockets.parent != self._folder:
            shutil.rmtree(self._sockets, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _take_lock(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = (self._folder / "lock").open("ab")
        except OSError as refusal:
            raise EmbeddedPostgresFailed(f"{self._folder} cannot be written: {refusal.strerror}.") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise EmbeddedPostgresFailed(f"Another mini-chat is running on {self._folder}.") from None
        self._lock = lock

    async def _start(self) -> None:
        account = account_for(self._cluster, (self._folder, self._bin_dir))
        if not self._cluster.exists():
            await self._create_cluster(account)
        self._check_cluster(account)
        await self._wait_for_predecessor()
        self._make_socket_folder(account)
        self._server = await self._launch(account)
        await self._wait_until_ready(self._server)
        await self._create_database()

    async def _create_cluster(self, account: OsAccount) -> None:
        """A cluster is made under another name first: one that was interrupted is never taken for a whole one.

        A name of its own each time, because what an interrupted initdb had started may write for a moment longer.
        """
        unfinished = self._folder / f"cluster.unfinished.{secrets.token_hex(4)}"
        _make_private(unfinished, account)
        options = ["--auth=trust", f"--username={SUPERUSER}", "--encoding=UTF8", "--locale=C.UTF-8"]
        if self._durability is Durability.DISPOSABLE:
            options.append("--no-sync")
        command = self._command(account, "initdb", f"--pgdata={unfinished}", *options)
        made = await anyio.run_process(
            command, check=False, stderr=subprocess.STDOUT, start_new_session=True, cwd="/", env=_environment()
        )
        if made.returncode != 0:
            raise EmbeddedPostgresFailed(f"initdb failed: {_last_line(made.stdout)}")
        unfinished.rename(self._cluster)
        for leftover in self._folder.glob("cluster.unfinished*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def _check_cluster(self, account: OsAccount) -> None:
        if self._cluster.stat().st_uid != account.uid:
            raise EmbeddedPostgresFailed(f"{self._cluster} belongs to another user: start as that user.")
        theirs = (self._cluster / "PG_VERSION").read_text().strip()
        ours = major_version(self._bin_dir)
        if theirs != str(ours):
            raise EmbeddedPostgresFailed(
                f"{self._cluster} was made by PostgreSQL {theirs}, but {self._bin_dir} is PostgreSQL {ours}: "
                f"set MINI_CHAT_PG_BIN to the programs of version {theirs}, or move the folder away."
            )

    async def _wait_for_predecessor(self) -> None:
        """Its parent is dead, else we had not got the lock: it is shutting down. A pid file left behind is stale."""
        with anyio.move_on_after(self._stop_within.total_seconds()) as patience:
            while self._predecessor_runs():  # noqa: ASYNC110 another process ends; nothing here could set an event
                await anyio.sleep(_POLL_SECONDS)
        if patience.cancelled_caught:
            raise EmbeddedPostgresFailed(
                f"A PostgreSQL that nobody minds still runs on {self._cluster}: stop it first."
            )
        self._pid_file.unlink(missing_ok=True)

    @property
    def _pid_file(self) -> Path:
        return self._cluster / "postmaster.pid"

    def _predecessor_runs(self) -> bool:
        """A number alone proves nothing: after a restart of the machine it may belong to anybody."""
        try:
            pid = self._pid_file.read_text().split("\n", 1)[0]
            command_line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return False
        return os.fsencode(self._cluster) in command_line.split(b"\0")

    def _make_socket_folder(self, account: OsAccount) -> None:
        """Socket addresses are short, clones may sit deep: then a private folder in the temporary one serves."""
        self._sockets = self._folder / "run"
        if len(os.fsencode(self._sockets / _SOCKET)) > _LONGEST_SOCKET_PATH_BYTES:
            self._sockets = Path(tempfile.mkdtemp(prefix="mini-chat-"))
        _make_private(self._sockets, account)

    async def _launch(self, account: OsAccount) -> Process:
        settings = _SETTINGS | (_FORGETFUL if self._durability is Durability.DISPOSABLE else {})
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        command = self._command(account, "postgres", "-D", str(self._cluster), "-k", str(self._sockets), *options)
        with self._log.open("ab") as log:
            return await anyio.open_process(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
                env=_environment(),
            )

    def _command(self, account: OsAccount, program: str, *arguments: str) -> list[str]:
        numbers = (os.getpid(), account.uid, account.gid, account.capability)
        launcher = [sys.executable, "-I", "-S", str(_CHILD), *(str(number) for number in numbers)]
        return [*launcher, str(self._bin_dir / program), *arguments]

    async def _wait_until_ready(self, server: Process) -> None:
        while not self._is_ready(server):
            if server.returncode is not None:
                raise EmbeddedPostgresFailed(f"PostgreSQL did not start: {_last_line(self._log.read_bytes())}")
            await anyio.sleep(_POLL_SECONDS)

    def _is_ready(self, server: Process) -> bool:
        """The server writes its status into its pid file, as pg_ctl reads it."""
        try:
            lines = self._pid_file.read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > _STATUS_LINE and lines[0] == str(server.pid) and lines[_STATUS_LINE].strip() == "ready"

    async def _create_database(self) -> None:
        connection = await asyncpg.connect(self.dsn(SUPERUSER, "postgres"))
        try:
            if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
                await connection.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            await connection.close()  # noqa: ASYNC102 - who is cancelled here stops the server next

    async def _end(self, server: Process) -> None:
        """SIGINT is the fast shutdown; SIGQUIT gives up the checkpoint, so that the next start has to recover."""
        for order in (signal.SIGINT, signal.SIGQUIT):
            if server.returncode is None:
                server.send_signal(order)
            with anyio.move_on_after(self._stop_within.total_seconds()):
                await server.wait()
                return
        server.kill()
        await server.wait()


def _make_private(folder: Path, account: OsAccount) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    if os.geteuid() != account.uid:
        os.chown(folder, account.uid, account.gid)


def _environment() -> dict[str, str]:
    """Nothing of ours: neither secrets nor PG* variables that would steer the server."""
    return {"PATH": os.environ.get("PATH", os.defpath)}


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "no output"
