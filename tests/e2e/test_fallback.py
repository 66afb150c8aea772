"""A model whose provider does not take the call, and the one that answers instead: streams, rows and bill."""

import signal
from pathlib import Path
from typing import Any, Final

import anyio
import pytest

from tests.harness.client import Client, calling
from tests.harness.eventually import eventually
from tests.harness.operator import Operator
from tests.harness.postgres import Database
from tests.harness.processes import free_port, mini_chat
from tests.harness.rows import connected
from tests.harness.service import serving, settings

PRICES: Final = {"input_tokens_credit_multiplier_micro": 3_000_000, "output_tokens_credit_multiplier_micro": 9_000_000}
SCRIPTS: Final = {"echo": "mock-echo", "spare": "mock-len5", "slow": "mock-itl50-len1000"}
SHORT_LEASE: Final = {
    "MINI_CHAT_TURN_LEASE": "1s",
    "MINI_CHAT_TURN_HEARTBEAT": "200ms",
    "MINI_CHAT_TURN_REAPER_INTERVAL": "200ms",
}

pytestmark = pytest.mark.timeout(60)


def model(name: str, script: str, fallback: str, **members: Any) -> dict[str, Any]:
    return {"id": name, "provider_id": "scripted", "provider_model_id": script, "fallback_model": fallback, **members}


def models(database: Database) -> dict[str, str]:
    closed = f"http://127.0.0.1:{free_port()}"
    return settings(
        database,
        SCRIPTS,
        None,
        model("dear", "mock-fail0-asoverload", "spare", **PRICES),
        model("slow-then", "mock-fail0-asoverload", "slow"),
        model("broken", "mock-fail0", "spare"),
        {"id": "cheap", "provider_id": "closed", "provider_model_id": "x", "fallback_model": "dear-spare"},
        {"id": "dear-spare", "provider_id": "scripted", "provider_model_id": "mock-len5", **PRICES},
        {"id": "alone", "provider_id": "closed", "provider_model_id": "x"},
    ) | {
        "MINI_CHAT_PROVIDERS__CLOSED__KIND": "openai_chat",
        "MINI_CHAT_PROVIDERS__CLOSED__BASE_URL": closed,
        "MINI_CHAT_PROVIDERS__CLOSED__ALLOW_HTTP": "true",
        "MINI_CHAT_PROVIDERS__CLOSED__ALLOW_PRIVATE_NETWORK": "true",
        "MINI_CHAT_PROVIDERS__CLOSED__BREAKER_FAILURES": "3",
    }


async def done_of(client: Client, name: str) -> dict[str, Any]:
    stream = await client.told(await client.chat(model=name))
    assert stream.terminal is not None
    assert stream.terminal.event == "done", [line for line in client.server.output().splitlines() if "error" in line][
        :5
    ]
    return stream.terminal.data


async def rows_of(database: Database, what: str) -> list[tuple[object, ...]]:
    async with connected(database.superuser_dsn) as connection:
        return [tuple(row) for row in await connection.fetch(f"SELECT {what} FROM mini_chat.chat_turns ORDER BY id")]  # noqa: S608 - our own text


@pytest.mark.parametrize(("selected", "effective"), [("dear", "spare"), ("cheap", "dear-spare")])
async def test_the_other_model_answers_and_is_the_one_that_is_paid(
    tmp_path: Path, database: Database, selected: str, effective: str
) -> None:
    async with serving(tmp_path, database, models(database)) as service, service.caller() as client:
        done = await done_of(client, selected)
        (charge,) = (await client.ask("GET", "usage?limit=1")).json()["items"]
    used = done["usage"]
    per_token = 1 if effective == "spare" else 3
    per_answer = 1 if effective == "spare" else 9
    assert (done["effective_model"], done["selected_model"], done["quota_decision"]) == (effective, selected, "allow")
    assert charge["model"] == effective
    assert charge["credits_micro"] == used["input_tokens"] * per_token + used["output_tokens"] * per_answer
    what = "effective_model, provider_id, went_over_from, reserved_micro = est_input_tokens * 3 + max_output_tokens * 9"
    assert await rows_of(database, what) == [(effective, "scripted", selected, True)]


async def test_a_failure_that_is_no_want_of_a_provider_is_told(tmp_path: Path, database: Database) -> None:
    async with serving(tmp_path, database, models(database)) as service, service.caller() as client:
        stream = await client.told(await client.chat(model="broken"))
    assert stream.terminal is not None
    assert stream.terminal.data["code"] == "provider_error"
    assert await rows_of(database, "effective_model, went_over_from") == [("broken", None)]


async def test_a_provider_that_nobody_reaches_is_refused_before_anything_is_written(
    tmp_path: Path, database: Database
) -> None:
    async with serving(tmp_path, database, models(database)) as service, service.caller() as client:
        chat_id = await client.chat(model="alone")
        for _ in range(3):
            stream = await client.told(chat_id)
            assert stream.terminal is not None
            assert stream.terminal.data["code"] == "provider_unavailable"
        refused = await client.ask("POST", f"chats/{chat_id}/messages:stream", {"content": "Hello"})
        ready = await client.ask("GET", "/readyz")
        answered = await done_of(client, "cheap")
    problem = refused.json()
    assert (refused.status, problem["code"]) == (503, "provider_unavailable")
    assert 0 < problem["retry_after_ms"] <= int(refused.header("Retry-After") or 0) * 1000 <= 10_000
    assert (ready.status, ready.json()["checks"]["provider:closed"]) == (200, "degraded")
    assert answered["effective_model"] == "dear-spare"
    assert len(await rows_of(database, "id")) == 4


async def test_a_fallback_that_is_switched_off_does_not_answer(tmp_path: Path, database: Database) -> None:
    async with serving(tmp_path, database, models(database)) as service:
        token = await service.token("operations", "olga", "admin")
        async with service.caller() as client:
            await Operator(client.under(token)).switch("model", "spare")
            stream = await client.told(await client.chat(model="dear"))
    assert stream.terminal is not None
    assert stream.terminal.data["code"] == "provider_unavailable"


async def test_a_server_killed_after_it_went_over_leaves_the_bill_of_the_other_model(
    tmp_path: Path, database: Database
) -> None:
    env = models(database) | SHORT_LEASE
    async with mini_chat(tmp_path, env=env) as server, calling(server) as client:
        chat_id = await client.chat(model="slow-then")
        async with client.stream(chat_id) as stream:
            await stream.first("delta", 3)
            server.signal(signal.SIGKILL)
            with anyio.fail_after(5):
                await stream.broken_off()
    async with serving(tmp_path, database, env) as service, service.caller() as client:

        async def ended() -> bool:
            return (await rows_of(database, "state")) == [("failed",)]

        await eventually(ended, within_s=6)
        (charge,) = (await client.ask("GET", "usage?limit=1")).json()["items"]
    assert (charge["model"], charge["source"]) == ("slow", "estimated")
    assert await rows_of(database, "effective_model, went_over_from") == [("slow", "slow-then")]
