"""Somebody's first minutes: start, paste the line, Ctrl-C, start again. The database is the embedded one."""

import os
import pwd
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import anyio
import pytest

from tests.harness.client import calling
from tests.harness.processes import ChildProcess, Server, child_process, clean_environment, mini_chat, mini_chat_command

AS_NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
OUR_PACKAGES = {"PYTHONPATH": f"{Path(__file__).parents[2]}:{sysconfig.get_path('purelib')}"}

pytestmark = pytest.mark.timeout(60)


def curl_line(server: Server) -> list[str]:
    """What `serve` tells its reader to try, as a shell would split it."""
    (line,) = [line for line in server.output().splitlines() if "curl -N" in line]
    return shlex.split(line[line.index("curl") :])


async def stopped_by_ctrl_c(server: ChildProcess) -> None:
    server.signal(signal.SIGINT)
    with anyio.fail_after(5):
        assert await server.exited() == 0


async def test_start_paste_the_line_stop_and_start_again(tmp_path: Path) -> None:
    async with mini_chat(tmp_path, ready_within_seconds=20) as server:
        answer = await anyio.run_process(curl_line(server), stderr=subprocess.DEVNULL)
        assert answer.stdout.startswith(b"id: 1\nevent: stream_started\n")
        assert b"\nevent: done\n" in answer.stdout
        await a_second_one_is_refused(tmp_path)
        await stopped_by_ctrl_c(server)
    async with mini_chat(tmp_path) as again, calling(again) as client:
        (chat,) = (await client.ask("GET", "chats")).json()["items"]
        user, assistant = await client.messages(chat["id"])
        assert (user["content"], assistant["status"]) == ("Hello", "complete")
        assert assistant["content"].split()[0].encode() in answer.stdout


async def a_second_one_is_refused(data: Path) -> None:
    command: list[str | Path] = [mini_chat_command(), "serve", "--port", "0"]
    async with child_process(command, directory=data) as second:
        with anyio.fail_after(10):
            assert await second.exited() == 2
        assert second.output() == f"mini-chat: Another mini-chat is running on {data}/.mini-chat/postgres.\n"


async def test_an_unprivileged_user_can_serve(tmp_path: Path) -> None:
    python = interpreter_for_nobody()
    if python is None:
        pytest.skip("only root can become somebody else, and that one needs a Python outside of root's home")
    nobody = pwd.getpwnam("nobody")
    os.chown(tmp_path, nobody.pw_uid, nobody.pw_gid)
    for folder in (tmp_path, *_under_the_root_of_all(tmp_path)):
        folder.chmod(0o755)
    command = [*AS_NOBODY, python, "-m", "app", "serve", "--port", "0"]
    async with child_process(command, directory=tmp_path, env=OUR_PACKAGES, grace_seconds=10) as server:
        with anyio.fail_after(30):
            await server.printed("curl -N")
        assert (tmp_path / ".mini-chat" / "postgres" / "cluster").stat().st_uid == nobody.pw_uid
        await stopped_by_ctrl_c(server)


def _under_the_root_of_all(tmp_path: Path) -> list[Path]:
    """Pytest makes its folders for its own user alone, one more of them where tests run side by side."""
    ours = Path(tempfile.gettempdir())
    return [folder for folder in tmp_path.parents if folder.is_relative_to(ours) and folder != ours]


def interpreter_for_nobody() -> str | None:
    """Ours, or the machine's own of the same version where ours lies in a home that nobody may enter."""
    if os.geteuid() != 0:
        return None
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, shutil.which(version, path="/usr/local/bin:/usr/bin")):
        probe = [*AS_NOBODY, python or "false", "-c", "import app.cli, os, sys; os.execv(sys.executable, ['-', '-V'])"]
        if subprocess.run(probe, env=clean_environment(OUR_PACKAGES), capture_output=True, check=False).returncode == 0:  # noqa: S603
            return python
    return None
