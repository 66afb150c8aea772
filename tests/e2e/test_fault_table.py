"""What each fault of a provider comes to: the code that is told, the state of the turn, and what is charged.

    TESTS_FAULT_TABLE=1 python -m pytest -s tests/e2e/test_fault_table.py

prints the table, once for each adapter.
"""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

import msgspec
import pytest

from infra.providers.settings import ProviderKind
from tests.harness.client import Client
from tests.harness.postgres import Database
from tests.harness.processes import free_port
from tests.harness.rows import connected
from tests.harness.service import Service, serving, settings
from tests.harness.upstream import DONE, Action, Reply, Step, Upstream, finish, frame, refusal, sse, text
from tests.upstreams import anthropic
from tests.upstreams.inference_http import done, failed, token
from tests.upstreams.openai_responses import Answering

CANARY: Final = "CNRY-the-provider-said-this"
SAID: Final = "Once "
PATIENCE: Final = {"headers": "300ms", "first_token": "300ms", "idle": "300ms"}
KINDS: Final = (
    ProviderKind.OPENAI_CHAT,
    ProviderKind.OPENAI_RESPONSES,
    ProviderKind.ANTHROPIC,
    ProviderKind.INFERENCE_HTTP,
)
PRINTS: Final = "TESTS_FAULT_TABLE" in os.environ

pytestmark = pytest.mark.timeout(120)


class Speech(msgspec.Struct, frozen=True, kw_only=True):
    """How a format says `SAID`, ends without counting, and fails in the middle."""

    said: bytes
    end: bytes
    fails: bytes
    is_overloaded: bytes
    throttles: bytes


_ANSWER: Final = Answering()
_RESPONSE_SAID: Final = _ANSWER.begin() + _ANSWER.delta(SAID)
SPEECH: Final[Mapping[ProviderKind, Speech]] = {
    ProviderKind.OPENAI_CHAT: Speech(
        said=text(SAID),
        end=finish() + DONE,
        fails=frame({"error": {"message": CANARY, "code": CANARY}}),
        is_overloaded=frame({"error": {"message": CANARY, "code": "server_overloaded"}}),
        throttles=frame({"error": {"message": CANARY, "code": "rate_limit_exceeded"}}),
    ),
    ProviderKind.OPENAI_RESPONSES: Speech(
        said=_RESPONSE_SAID,
        end=frame({"type": "response.completed", "response": {"status": "completed", "output": []}}),
        fails=frame({"type": "error", "code": CANARY, "message": CANARY}),
        is_overloaded=frame({"type": "error", "code": "server_is_overloaded", "message": CANARY}),
        throttles=frame({"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded"}}}),
    ),
    ProviderKind.ANTHROPIC: Speech(
        said=frame({"type": "message_start", "message": {"id": "msg_1"}})
        + anthropic.opened(anthropic.text(""))
        + anthropic.said(SAID),
        end=anthropic.closed()
        + frame({"type": "message_delta", "delta": {"stop_reason": "end_turn"}})
        + anthropic.stopped(),
        fails=anthropic.failed("api_error", CANARY),
        is_overloaded=anthropic.failed("overloaded_error", CANARY),
        throttles=anthropic.failed("rate_limit_error", CANARY),
    ),
    ProviderKind.INFERENCE_HTTP: Speech(
        said=token(SAID),
        end=done(),
        fails=failed(CANARY),
        is_overloaded=failed({"code": "server_overloaded"}),
        throttles=failed({"code": "rate_limit_exceeded"}),
    ),
}


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """`code` is that of the `error`, or the event `done`. `charge` is how the turn was settled."""

    code: str
    retryable: bool | None = None
    retry_after_ms: int | None = None
    partial: str = ""
    state: str = "failed"
    charge: str = "estimated"


class Fault(msgspec.Struct, frozen=True):
    name: str
    steps: Reply | Sequence[str | Step]
    outcome: Outcome

    def reply(self, speech: Speech) -> Reply:
        """Steps that are words stand for what the format has for them."""
        if isinstance(self.steps, Reply):
            return self.steps
        return sse(*(getattr(speech, step) if isinstance(step, str) else step for step in self.steps))


def refused(status: int, code: str = CANARY, **headers: str) -> Reply:
    return refusal(status, {"error": {"message": CANARY, "code": code}}, **headers)


ERROR: Final = Outcome(code="provider_error", retryable=True)
FINAL: Final = Outcome(code="provider_error", retryable=False)
THROTTLED: Final = Outcome(code="rate_limited", retryable=True)
UNAVAILABLE: Final = Outcome(code="provider_unavailable", retryable=True)
LATE: Final = Outcome(code="provider_timeout", retryable=True)
CUT: Final = Outcome(code="stream_interrupted", retryable=True)
TOO_LONG: Final = Outcome(code="context_budget_exceeded", retryable=False, charge="released")


def after(outcome: Outcome, **members: Any) -> Outcome:
    return msgspec.structs.replace(outcome, **members)


def partly(outcome: Outcome) -> Outcome:
    return after(outcome, partial=SAID)


NOBODY: Final = Fault("nobody there", (), after(UNAVAILABLE, charge="released"))
FAULTS: Final = (
    NOBODY,
    Fault("400", refused(400), FINAL),
    Fault("400, prompt too long", refused(400, "context_length_exceeded"), TOO_LONG),
    Fault("401", refused(401), FINAL),
    Fault("402", refused(402), FINAL),
    Fault("403", refused(403), FINAL),
    Fault("404", refused(404), FINAL),
    Fault("408", refused(408), LATE),
    Fault("409", refused(409), FINAL),
    Fault("413", refused(413), FINAL),
    Fault("413, prompt too long", refused(413, "context_length_exceeded"), TOO_LONG),
    Fault("422", refused(422), FINAL),
    Fault("425", refused(425), THROTTLED),
    Fault("429", refused(429), THROTTLED),
    Fault("429, Retry-After 2", refused(429, Retry_After="2"), after(THROTTLED, retry_after_ms=2_000)),
    Fault("429, Retry-After -1", refused(429, Retry_After="-1"), THROTTLED),
    Fault("429, Retry-After 99999", refused(429, Retry_After="99999"), after(THROTTLED, retry_after_ms=3_600_000)),
    Fault("429, Retry-After soon", refused(429, Retry_After="soon"), THROTTLED),
    Fault("429, account exhausted", refused(429, "insufficient_quota"), FINAL),
    Fault("500", refused(500), ERROR),
    Fault("502", refused(502), ERROR),
    Fault("503", refused(503), UNAVAILABLE),
    Fault("503, Retry-After 2", refused(503, Retry_After="2"), after(UNAVAILABLE, retry_after_ms=2_000)),
    Fault("504", refused(504), LATE),
    Fault("524", refused(524), LATE),
    Fault("529", refused(529), UNAVAILABLE),
    Fault("302", Reply(status=302, headers={"Location": "/elsewhere"}), ERROR),
    Fault("200 with HTML", Reply(headers={"Content-Type": "text/html"}, steps=[b"<html>"]), ERROR),
    Fault("200 with a JSON error", refused(200, "server_overloaded"), UNAVAILABLE),
    Fault(
        "200 compressed",
        Reply(headers={"Content-Type": "text/event-stream", "Content-Encoding": "gzip"}, steps=[b"\x1f\x8b"]),
        ERROR,
    ),
    Fault("no head", Reply(before_head=[Action.HANG]), LATE),
    Fault("closed before the head", Reply(before_head=[Action.CLOSE]), CUT),
    Fault("no token", (Action.HANG,), LATE),
    Fault("silence in mid-stream", ("said", Action.HANG), partly(LATE)),
    Fault("end without a terminal", ("said",), partly(CUT)),
    Fault("hung up in mid-stream", ("said", Action.CLOSE), partly(CUT)),
    Fault("reset in mid-stream", ("said", 0.05, Action.RESET), partly(CUT)),
    Fault("broken JSON", ("said", b'data: {"choices": [' + CANARY.encode() + b"\n\n"), partly(ERROR)),
    Fault("a frame too large", ("said", b"data: " + b"x" * (4 * 1024 * 1024 + 1)), partly(ERROR)),
    Fault("error in mid-stream", ("said", "fails"), partly(ERROR)),
    Fault("overloaded in mid-stream", ("said", "is_overloaded"), partly(UNAVAILABLE)),
    Fault("throttled in mid-stream", ("said", "throttles"), partly(THROTTLED)),
    Fault("error as the first frame", ("fails",), ERROR),
    Fault("usage missing", ("said", "end"), Outcome(code="done", partial=SAID, state="completed")),
)


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    service: Service
    upstreams: Mapping[ProviderKind, Upstream]


@pytest.fixture(scope="module")
async def stage(
    anyio_backend: object,
    shared_database: Database,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Stage]:
    """One server with a provider of each kind, and another one of each where nobody listens."""
    async with AsyncExitStack() as stack:
        upstreams = {kind: await stack.enter_async_context(Upstream()) for kind in KINDS}
        env = settings(
            shared_database, {"echo": "mock-echo"}, None, *(entry for kind in KINDS for entry in models(kind))
        )
        for kind, upstream in upstreams.items():
            env |= provider(kind, f"{kind}", upstream.url)
            env |= provider(kind, f"closed_{kind}", f"http://127.0.0.1:{free_port()}")
        folder = tmp_path_factory.mktemp("faults")
        service = await stack.enter_async_context(serving(folder, shared_database, env))
        yield Stage(service=service, upstreams=upstreams)


def models(kind: ProviderKind) -> list[dict[str, Any]]:
    common = {"provider_model_id": "remote", "deadlines": PATIENCE}
    return [{"id": name, "provider_id": name, **common} for name in (f"{kind}", f"closed_{kind}")]


def provider(kind: ProviderKind, id_: str, url: str) -> dict[str, str]:
    wanted = {
        "KIND": f"{kind}",
        "BASE_URL": url,
        "ALLOW_HTTP": "true",
        "ALLOW_PRIVATE_NETWORK": "true",
        "BREAKER_FAILURES": "0",
    }
    return {f"MINI_CHAT_PROVIDERS__{id_.upper()}__{name}": value for name, value in wanted.items()}


@pytest.mark.parametrize("kind", KINDS)
async def test_each_fault_has_its_code_its_state_and_its_charge(stage: Stage, kind: ProviderKind) -> None:
    upstream, table = stage.upstreams[kind], {}
    async with stage.service.caller() as client:
        for fault in FAULTS:
            upstream.reply(fault.reply(SPEECH[kind]))
            model = f"closed_{kind}" if fault is NOBODY else f"{kind}"
            before = len(upstream.exchanges)
            table[fault.name] = await outcome_of(client, stage.service.database, model)
            assert len(upstream.exchanges) - before == (fault is not NOBODY)
    if PRINTS:
        print(markdown(kind, table))  # noqa: T201 - what was asked for
    assert table == {fault.name: fault.outcome for fault in FAULTS}
    assert CANARY not in stage.service.server.output()


async def outcome_of(client: Client, database: Database, model: str) -> Outcome:
    """As the stream tells it and the rows have it: they say the same, or no outcome fits."""
    stream = await client.told(await client.chat(model=model))
    assert stream.terminal is not None
    assert CANARY not in str(stream.frames)
    told = stream.terminal.data
    async with connected(database.superuser_dsn) as connection:
        row = await connection.fetchrow(
            "SELECT state, error_code, settlement FROM mini_chat.chat_turns WHERE planned_message_id = $1",
            stream.message_id,
        )
    assert row is not None
    code = told.get("code", stream.terminal.event)
    assert row["error_code"] == told.get("code")
    return Outcome(
        code=code,
        retryable=told.get("retryable"),
        retry_after_ms=told.get("retry_after_ms"),
        partial=stream.text,
        state=row["state"],
        charge=row["settlement"],
    )


def markdown(kind: ProviderKind, table: Mapping[str, Outcome]) -> str:
    lines = [
        f"\n### {kind}\n",
        "| Provider fault | SSE code | Retryable | Text kept | Turn state | Credits |",
        "|---|---|---|---|---|---|",
    ]
    for name, outcome in table.items():
        retryable = {True: "yes", False: "no", None: ""}[outcome.retryable]
        wait = f", after {outcome.retry_after_ms} ms" if outcome.retry_after_ms else ""
        kept = "partial" if outcome.partial and outcome.state != "completed" else "whole" if outcome.partial else "none"
        lines.append(f"| {name} | `{outcome.code}` | {retryable}{wait} | {kept} | {outcome.state} | {outcome.charge} |")
    return "\n".join(lines)
