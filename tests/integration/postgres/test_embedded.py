"""The server of our own: it keeps its data, its privacy and its manners, whoever starts it and however that ends."""

import os
import re
import shutil
import signal
import stat
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import anyio
import asyncpg
import pytest

from infra.postgres import child, migrate
from infra.postgres.binaries import find_binaries
from infra.postgres.embedded import SUPERUSER, Durability, EmbeddedPostgres, EmbeddedPostgresFailed
from infra.postgres.engine import PoolLimits, create_pools
from infra.postgres.role_check import check_runtime_role
from tests.harness.postgres import quick_folder
from tests.harness.processes import ChildProcess, child_process
from tests.harness.rows import Tenant, acting_for, add_chat, connected

BIN: Final = find_binaries(Path(os.environ["MINI_CHAT_PG_BIN"]) if "MINI_CHAT_PG_BIN" in os.environ else None)
IMPORTING_US: Final = {"PYTHONPATH": str(Path(__file__).resolve().parents[3])}
NOBODY: Final = 65_534
LIMITS: Final = PoolLimits(size=1, reserved_size=1, acquire=timedelta(seconds=5), statement=timedelta(seconds=5))

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")


@pytest.fixture(scope="module")
def made_once() -> Iterator[Path]:
    """A folder whose cluster was made and whose database exists; each test works on a copy."""

    async def make(folder: Path) -> None:
        async with _running(folder):
            pass

    with quick_folder() as home:
        folder = home / "postgres"
        anyio.run(make, folder)
        yield folder


@pytest.fixture
def home() -> Iterator[Path]:
    with quick_folder() as home:
        yield home


@pytest.fixture
def folder(made_once: Path, home: Path) -> Path:
    copy = home / "postgres"
    shutil.copytree(made_once, copy, ignore=shutil.ignore_patterns("lock", "server.log"))
    owner = (made_once / "cluster").stat()
    _give(copy / "cluster", owner.st_uid, owner.st_gid)
    return copy


def _server(folder: Path, bin_dir: Path = BIN) -> EmbeddedPostgres:
    return EmbeddedPostgres(folder, bin_dir, durability=Durability.DISPOSABLE)


@asynccontextmanager
async def _running(folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    server = _server(folder)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def _parent(folder: Path, directory: Path, *launcher: str) -> AsyncIterator[ChildProcess]:
    """Another process that has started the server."""
    async with child_process(_start(folder, *launcher), directory=directory, env=IMPORTING_US) as parent:
        with anyio.fail_after(15):
            await parent.printed("ready")
        yield parent


def _start(folder: Path, *launcher: str) -> list[str | Path]:
    return [*launcher, sys.executable, "-m", "tests.harness.embedded_server", folder, BIN]


def _becoming(uid: int) -> tuple[str, ...]:
    """Also reads what root may, since this environment may lie below a folder that only root enters."""
    numbers = (os.getpid(), uid, uid, child.CAP_DAC_READ_SEARCH)
    return (sys.executable, "-I", "-S", child.__file__, *(str(number) for number in numbers))


def _give(path: Path, uid: int, gid: int) -> None:
    for each in (path, *path.rglob("*")):
        os.chown(each, uid, gid)


def _folder_of(uid: int, within: Path) -> Path:
    folder = within / "theirs"
    folder.mkdir()
    os.chown(folder, uid, uid)
    return folder


def _moved(folder: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True)
    return folder.rename(target)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _user_of_server(folder: Path) -> int:
    return Path(f"/proc/{_postmaster(folder)}").stat().st_uid


def _environment_of_server(folder: Path) -> set[str]:
    return {each.split("=")[0] for each in Path(f"/proc/{_postmaster(folder)}/environ").read_text().split("\0")}


def _postmaster(folder: Path) -> int:
    return int((folder / "cluster" / "postmaster.pid").read_text().split("\n", 1)[0])


def _is_alive(pid: int) -> bool:
    """A zombie whose new parent has not looked yet counts as gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return "State:\tZ" not in status


async def _gone(pid: int) -> None:
    with anyio.fail_after(5):
        while _is_alive(pid):  # noqa: ASYNC110 a process rings no event
            await anyio.sleep(0.01)


async def test_data_outlives_a_restart_and_the_runtime_role_is_the_harmless_one(folder: Path) -> None:
    tenant = Tenant()
    async with _running(folder) as server:
        await migrate.upgrade(server.superuser_dsn)
        async with connected(server.app_dsn) as connection, acting_for(connection, tenant.tenant_id):
            await add_chat(connection, tenant)
    async with _running(folder) as server:
        pools = create_pools(server.app_dsn, LIMITS, application_name="mini-chat test")
        await check_runtime_role(pools.requests)
        await pools.dispose()
        async with connected(server.app_dsn) as connection, acting_for(connection, tenant.tenant_id):
            assert await connection.fetchval("SELECT id FROM mini_chat.chats") == tenant.chat_id


async def test_nobody_else_gets_in(folder: Path) -> None:
    async with _running(folder) as server:
        async with connected(server.superuser_dsn) as connection:
            assert await connection.fetchval("SHOW listen_addresses") == ""
        assert (_mode(folder / "run"), _mode(folder / "cluster")) == (0o700, 0o700)


async def test_the_server_knows_no_setting_of_ours(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINI_CHAT_SECRETS__SIGNING_KEY", "env:SECRET")
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=1MB")
    async with _running(folder):
        names = _environment_of_server(folder)
    assert not {name for name in names if name.startswith(("MINI_CHAT", "PGOPTIONS"))}


async def test_the_log_holds_no_values(folder: Path) -> None:
    async with _running(folder) as server, connected(server.superuser_dsn) as connection:
        await connection.execute("CREATE TABLE said (words text UNIQUE)")
        await connection.execute("INSERT INTO said VALUES ($1)", "CNRY-bound")
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute("INSERT INTO said VALUES ($1)", "CNRY-bound")
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute("INSERT INTO said VALUES ('CNRY-' || 'bound')")
    log = (folder / "server.log").read_text()
    assert "duplicate key" in log
    assert "CNRY" not in log


async def test_a_second_start_on_the_same_folder_is_refused_in_one_line(folder: Path) -> None:
    async with _running(folder) as server:
        with pytest.raises(
            EmbeddedPostgresFailed, match=rf"^Another mini-chat is running on {re.escape(str(folder))}\.$"
        ):
            await _server(folder).start()
        async with connected(server.superuser_dsn) as connection:
            assert await connection.fetchval("SELECT true")


async def test_stopping_twice_or_after_the_server_has_died_is_quiet(folder: Path) -> None:
    server = _server(folder)
    await server.start()
    os.kill(_postmaster(folder), signal.SIGKILL)
    await server.stop()
    await server.stop()
    async with _running(folder) as again, connected(again.superuser_dsn) as connection:
        assert await connection.fetchval("SELECT true")


async def test_a_killed_parent_takes_its_server_along_and_the_next_start_waits_for_that(
    folder: Path, tmp_path: Path
) -> None:
    async with _parent(folder, tmp_path) as parent:
        orphan = _postmaster(folder)
        parent.signal(signal.SIGKILL)
        await parent.exited()
        async with _running(folder) as server, connected(server.superuser_dsn) as connection:
            assert _postmaster(folder) != orphan
            assert await connection.fetchval("SELECT true")
        await _gone(orphan)


async def test_ctrl_c_reaches_the_parent_and_not_the_server(folder: Path, tmp_path: Path) -> None:
    """The terminal signals a whole process group; the server must live until its parent has drained."""
    async with _parent(folder, tmp_path, "setsid") as parent:
        server = _postmaster(folder)
        os.killpg(os.getpgid(parent.pid), signal.SIGINT)
        with anyio.fail_after(10):
            await parent.printed("still there")
            await parent.exited()
        await _gone(server)


async def test_an_interrupted_first_start_leaves_nothing_that_looks_whole(home: Path) -> None:
    folder = home / "postgres"
    unfinished = folder / "cluster.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18")
    with anyio.move_on_after(0.1) as interrupted:
        async with _running(folder):
            pass
    assert interrupted.cancelled_caught
    assert not (folder / "cluster").exists()
    async with _running(folder) as server, connected(server.superuser_dsn) as connection:
        assert await connection.fetchval("SELECT true")


async def test_data_of_another_major_version_is_refused_with_the_way_out(folder: Path) -> None:
    (folder / "cluster" / "PG_VERSION").write_text("14\n")
    with pytest.raises(EmbeddedPostgresFailed, match=r"was made by PostgreSQL 14, but .* set MINI_CHAT_PG_BIN"):
        await _server(folder).start()


async def test_a_server_that_cannot_start_says_why_and_frees_the_folder(folder: Path) -> None:
    settings = folder / "cluster" / "postgresql.conf"
    good = settings.read_text()
    settings.write_text(good + "no_such_setting = 1\n")
    with pytest.raises(EmbeddedPostgresFailed, match="configuration file"):
        await _server(folder).start()
    settings.write_text(good)
    async with _running(folder):
        pass


async def test_a_pid_file_that_names_a_stranger_is_no_obstacle(folder: Path) -> None:
    """After a restart of the machine the number may belong to anybody, to this very process for one."""
    (folder / "cluster" / "postmaster.pid").write_text(f"{os.getpid()}\n{folder / 'cluster'}\n")
    async with _running(folder) as server, connected(server.superuser_dsn) as connection:
        assert await connection.fetchval("SELECT true")


async def test_a_folder_too_deep_for_a_socket_still_works(folder: Path, home: Path) -> None:
    deep = _moved(folder, home / ("d" * 60) / ("e" * 60) / "postgres")
    async with _running(deep) as server:
        async with connected(server.dsn(SUPERUSER, "postgres")) as connection:
            assert await connection.fetchval("SELECT true")
        elsewhere = Path(server.superuser_dsn.partition("host=")[2])
        assert not elsewhere.is_relative_to(deep)
        assert _mode(elsewhere) == 0o700
    with pytest.raises(FileNotFoundError):
        _mode(elsewhere)


@as_root
async def test_root_reaches_its_own_closed_folders_through_a_lesser_user(folder: Path, home: Path) -> None:
    """As in a clone below /root: the server is not root, and may walk where only root may."""
    assert _mode(home) == 0o700
    async with _running(folder):
        assert _user_of_server(folder) != 0


@as_root
async def test_root_leaves_the_data_to_whoever_owns_it(folder: Path) -> None:
    _give(folder / "cluster", NOBODY, NOBODY)
    async with _running(folder):
        assert _user_of_server(folder) == NOBODY


@as_root
async def test_an_ordinary_user_runs_the_server_as_itself(home: Path, tmp_path: Path) -> None:
    folder = _folder_of(NOBODY, home)
    async with _parent(folder, tmp_path, *_becoming(NOBODY)):
        assert _user_of_server(folder) == NOBODY


@as_root
async def test_a_user_is_told_that_the_data_belongs_to_another(folder: Path, tmp_path: Path) -> None:
    os.chown(folder, NOBODY, NOBODY)
    command = _start(folder, *_becoming(NOBODY))
    async with child_process(command, directory=tmp_path, env=IMPORTING_US) as process:
        with anyio.fail_after(10):
            assert await process.exited() == 1
        assert "belongs to another user: start as that user." in process.output()
