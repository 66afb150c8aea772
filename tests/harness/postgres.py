"""A PostgreSQL server for the test session, and a migrated database of its own for every test.

A container when a Docker daemon answers, else a local process from the same discovery as `mini-chat serve`.
Either is gone after the session; the local one ends with the test process, however that one ends.
"""

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import asyncpg
import msgspec
from testcontainers.community.postgres import PostgresContainer

from infra.postgres import migrate
from infra.postgres.binaries import NEWEST_MAJOR, find_binaries
from infra.postgres.embedded import RUNTIME_ROLE, SUPERUSER, Durability, EmbeddedPostgres
from tests.harness.docker import docker_answers

T = TypeVar("T")

Address: TypeAlias = Callable[[str, str], str]
"""(role, database) to the address of that database for that role."""

_TEMPLATE = "mini_chat_template"
_PASSWORD = "disposable"
_MEMORY = Path("/dev/shm")  # noqa: S108 the folder made in it is private and has a random name
_ENOUGH_BYTES = 1 << 30
_FOLDER = "mini-chat-tests-"


class Database(msgspec.Struct, frozen=True, kw_only=True):
    """Migrated and empty. `dsn` acts as the service's own role, `superuser_dsn` may do everything."""

    name: str
    dsn: str
    superuser_dsn: str


class PostgresServer:
    """Holds the migrated template, of which `database` takes copies, and is driven from ordinary functions."""

    def __init__(self, kind: str, runner: asyncio.Runner, address: Address) -> None:
        self.kind, self.address = kind, address
        self._runner = runner
        self._numbers = itertools.count(1)
        self._admin = self._run(asyncpg.connect(address(SUPERUSER, "postgres")))
        self._execute(f"CREATE DATABASE {_TEMPLATE}")
        self._run(migrate.upgrade(address(SUPERUSER, _TEMPLATE)))
        self._execute(f"ALTER ROLE {RUNTIME_ROLE} PASSWORD '{_PASSWORD}'")

    @contextmanager
    def database(self, *, migrated: bool = True) -> Iterator[Database]:
        """A database that exists for the duration of the block."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE if migrated else 'template1'}")
        try:
            yield Database(name=name, dsn=self.address(RUNTIME_ROLE, name), superuser_dsn=self.address(SUPERUSER, name))
        finally:
            self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def close(self) -> None:
        self._run(self._admin.close())

    def _execute(self, statement: str) -> None:
        self._run(self._admin.execute(statement))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)


@contextmanager
def running_server() -> Iterator[PostgresServer]:
    with asyncio.Runner() as runner:
        kind, place = ("container", _container()) if docker_answers() else ("local process", _local(runner))
        with place as address:
            server = PostgresServer(kind, runner, address)
            try:
                yield server
            finally:
                server.close()


@contextmanager
def _local(runner: asyncio.Runner) -> Iterator[Address]:
    configured = os.environ.get("MINI_CHAT_PG_BIN")
    binaries = find_binaries(Path(configured) if configured else None)
    with quick_folder() as folder:
        postgres = EmbeddedPostgres(folder, binaries, durability=Durability.DISPOSABLE)
        try:
            runner.run(postgres.start())
            yield postgres.dsn
        finally:
            runner.run(postgres.stop())


@contextmanager
def quick_folder() -> Iterator[Path]:
    """A private folder in memory, where a copy of the template takes 20 ms instead of up to 300 on a disk."""
    home = _MEMORY if _is_roomy(_MEMORY) else Path(tempfile.gettempdir())
    _remove_left_behind(home)
    with tempfile.TemporaryDirectory(prefix=f"{_FOLDER}{os.getpid()}-", dir=home) as folder:
        yield Path(folder)


def _is_roomy(folder: Path) -> bool:
    """Containers often have a tiny one."""
    return os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > _ENOUGH_BYTES


def _remove_left_behind(home: Path) -> None:
    """The server of a killed session ends by itself, its folder stays."""
    for folder in home.glob(f"{_FOLDER}*"):
        if not Path("/proc", folder.name.removeprefix(_FOLDER).split("-")[0]).exists():
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _container() -> Iterator[Address]:
    image = f"postgres:{NEWEST_MAJOR}-alpine"
    with PostgresContainer(image, username=SUPERUSER, password=_PASSWORD).with_command("-c fsync=off") as container:
        place = f"{container.get_container_host_ip()}:{container.get_exposed_port(5432)}"
        yield lambda role, database: f"postgresql://{role}:{_PASSWORD}@{place}/{database}"
