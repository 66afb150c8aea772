"""The servers that are compared: how each is started, and how a stream is asked of it."""

import sys
from collections.abc import Callable, Collection
from pathlib import Path

import msgspec

from bench.streams import Call
from tests.harness.processes import child_process, free_port, mini_chat_command

BARE_RELAY, FASTAPI_RELAY, MINI_CHAT = NAMES = ("bare relay", "FastAPI relay", "mini-chat")
_USERS = 4
_CONFIGURATION = """
[limits.user]
requests_per_minute = 0
sends_per_minute = 0
max_running_turns = 0

[limits.tenant]
sends_per_minute = 0
max_running_turns = 0

[quota]
total_daily_micro = 1_000_000_000_000
total_monthly_micro = 1_000_000_000_000

[providers.bench]
kind = "{kind}"
base_url = "{upstream_url}"
allow_http = true
allow_private_network = true

[[models]]
id = "bench"
provider_id = "bench"
provider_model_id = "bench"
is_default = true
"""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """`body(stream)` becomes the JSON of the call; `tokens`, if any, are taken in turns."""

    name: str
    command: list[str | Path]
    port: int
    directory: Path
    path: str
    body: Callable[[str], dict[str, object]]
    tokens: list[str] = []

    def calls(self, streams: list[str]) -> list[Call]:
        return [self._call(stream, position) for position, stream in enumerate(streams)]

    def _call(self, stream: str, position: int) -> Call:
        headers = {"Authorization": f"Bearer {self.tokens[position % len(self.tokens)]}"} if self.tokens else {}
        body = msgspec.json.encode(self.body(stream)).decode()
        return Call(stream=stream, path=self.path, headers=headers, body=body)


async def targets(
    upstream_url: str, directory: Path, only: Collection[str] | None, kind: str = "openai_chat"
) -> list[Target]:
    """All three, or those of `only`; mini-chat's database and tokens are made here and last for all rounds.

    `kind` is that of the provider by which mini-chat calls the upstream; the yardsticks know one format.
    """
    wanted = only or NAMES
    yardsticks = [
        _yardstick(name, module, upstream_url, directory)
        for name, module in ((BARE_RELAY, "bench.bare_relay"), (FASTAPI_RELAY, "bench.fastapi_relay"))
        if name in wanted
    ]
    return [*yardsticks, await _mini_chat(upstream_url, directory, kind)] if MINI_CHAT in wanted else yardsticks


def _yardstick(name: str, module: str, upstream_url: str, directory: Path) -> Target:
    port = free_port()
    return Target(
        name=name,
        command=[sys.executable, "-m", module, str(port), f"{upstream_url}/chat/completions"],
        port=port,
        directory=directory / module,
        path="/relay",
        body=_completion,
    )


def _completion(stream: str) -> dict[str, object]:
    return {"model": "bench", "stream": True, "messages": [{"role": "user", "content": stream}]}


async def _mini_chat(upstream_url: str, directory: Path, kind: str) -> Target:
    """As it comes: its own embedded PostgreSQL, token authentication, and one new chat per stream."""
    port = free_port()
    home = directory / "mini-chat"
    home.mkdir()
    (home / "bench.toml").write_text(_CONFIGURATION.format(upstream_url=upstream_url, kind=kind))
    return Target(
        name=MINI_CHAT,
        command=[mini_chat_command(), "serve", "--port", str(port), "--config", "bench.toml"],
        port=port,
        directory=home,
        path="/mini-chat/v1/chats:stream",
        body=_first_message,
        tokens=[await _token(f"user-{number}", home) for number in range(_USERS)],
    )


def _first_message(stream: str) -> dict[str, object]:
    return {"content": stream, "model": "bench"}


async def _token(user: str, home: Path) -> str:
    command: list[str | Path] = [mini_chat_command(), "token", "--tenant", "bench", "--user", user]
    async with child_process(command, directory=home) as child:
        if await child.exited() != 0:
            raise RuntimeError(f"no token:\n{child.output()}")
    return child.output().splitlines()[-1]
