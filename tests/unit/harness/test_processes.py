import signal
import sys
from pathlib import Path

import anyio
import pytest

from tests.harness.processes import ProcessEnded, child_process, free_port, http_server

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(60)"


async def test_a_server_that_dies_before_it_is_ready_is_reported_with_its_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no database')"]
    with pytest.raises(ProcessEnded, match="no database"), anyio.fail_after(5):
        async with http_server(command, port=free_port(), ready_path="/readyz", directory=tmp_path):
            pass


async def test_a_server_is_entered_once_it_answers(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    with anyio.fail_after(10):
        async with http_server(command, port=port, ready_path="/", directory=tmp_path) as server:
            assert '"GET / HTTP/1.1" 200' in server.output()


async def test_a_process_deaf_to_term_is_killed_in_the_end(tmp_path: Path) -> None:
    with anyio.fail_after(5):
        async with child_process([sys.executable, "-c", STUBBORN], directory=tmp_path, grace_seconds=0.1) as child:
            await child.printed("deaf")
        assert await child.exited() == -signal.SIGKILL


async def test_a_stopped_process_ends_too(tmp_path: Path) -> None:
    with anyio.fail_after(10):
        async with child_process(["sleep", "60"], directory=tmp_path) as child:
            child.signal(signal.SIGSTOP)
        assert await child.exited() == -signal.SIGTERM


async def test_settings_of_the_caller_stay_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINI_CHAT_URL_PREFIX", "/foreign")
    program = "import os; print([n for n in os.environ if n.startswith('MINI_CHAT_')])"
    env = {"MINI_CHAT_OWN": "1"}
    with anyio.fail_after(5):
        async with child_process([sys.executable, "-c", program], directory=tmp_path, env=env) as child:
            assert await child.exited() == 0
    assert child.output() == "['MINI_CHAT_OWN']\n"
