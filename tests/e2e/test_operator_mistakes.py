"""What keeps a server from starting is one clear line for each mistake, and exit code 2."""

import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.harness.processes import clean_environment, free_port, mini_chat_command

CONFIG = '[turn]\nlease = "2h"\n[http]\nprot = 8080\n'


def refusal(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> list[str]:
    """The lines on stderr of a `serve` that does not start."""
    command = [str(mini_chat_command()), "serve", *arguments]
    ended = subprocess.run(  # noqa: S603 -- the test's own command
        command, cwd=folder, env=clean_environment(env or {}), capture_output=True, text=True, timeout=15, check=False
    )
    assert (ended.returncode, ended.stdout) == (2, ""), ended.stdout + ended.stderr
    return ended.stderr.splitlines()


@pytest.mark.parametrize(
    ("env", "line"),
    [
        ({"MINI_CHAT_HTTP_PROT": "1"}, "MINI_CHAT_HTTP_PROT: no such setting; did you mean MINI_CHAT_HTTP_PORT?"),
        ({"MINI_CHAT_HTTP_PORT": "high"}, "http.port (MINI_CHAT_HTTP_PORT): expected int, got str"),
        ({"MINI_CHAT_HTTP_HOST": "0.0.0.0"}, "http.host (MINI_CHAT_HTTP_HOST): must be a loopback address"),  # noqa: S104
        ({"MINI_CHAT_DATABASE_URL": "mysql://x"}, "database.url (MINI_CHAT_DATABASE_URL): must begin with postgresql"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, env: dict[str, str], line: str) -> None:
    (told,) = refusal(tmp_path, env=env)
    assert told.startswith(f"mini-chat: {line}")


def test_every_mistake_of_a_file_has_its_line(tmp_path: Path) -> None:
    (tmp_path / "serve.toml").write_text(CONFIG)
    assert refusal(tmp_path, "--config", "serve.toml") == [
        "mini-chat: http.prot (serve.toml): no such key; did you mean http.port?",
        "mini-chat: turn.lease (serve.toml): expected a duration from 30ms to 90s",
    ]


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        told = refusal(tmp_path, "--port", str(port))
    assert told == [f"mini-chat: http.port: cannot listen on 127.0.0.1:{port}: Address already in use"]


def test_a_database_that_cannot_be_reached_is_told_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql://chat:hunter2@127.0.0.1:{free_port()}/chat"
    (told,) = refusal(tmp_path, "--port", "0", env={"MINI_CHAT_DATABASE_URL": url})
    assert told.startswith("mini-chat: database.url: ")
    assert "hunter2" not in told
