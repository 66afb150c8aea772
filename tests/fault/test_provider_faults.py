"""A provider that fails: the reader is told one code, the rows say the same, the chat lives on (api.md 4.8)."""

import msgspec
import pytest

from tests.harness.client import Client
from tests.harness.service import Service
from tests.harness.upstream import DONE, Action, Reply, Upstream, finish, frame, refusal, sse, text

CANARY = "CNRY-the-provider-said-this"


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    reply: Reply
    code: str
    retryable: bool = True
    status: int
    partial: str = ""
    retry_after_ms: int | None = None
    model: str = "hasty"


def refused(status: int, code: str | None = None, **headers: str) -> Reply:
    return refusal(status, {"error": {"message": CANARY, "code": code or CANARY}}, **headers)


FAULTS = {
    "429 with Retry-After": Fault(
        reply=refused(429, Retry_After="2"), code="rate_limited", status=429, retry_after_ms=2000
    ),
    "429 with nonsense": Fault(reply=refused(429, Retry_After="soon"), code="rate_limited", status=429),
    "429 for ages": Fault(
        reply=refused(429, Retry_After="99999"), code="rate_limited", status=429, retry_after_ms=3_600_000
    ),
    "400": Fault(reply=refused(400), code="provider_error", retryable=False, status=502),
    "401": Fault(reply=refused(401), code="provider_error", retryable=False, status=502),
    "prompt too long": Fault(
        reply=refused(400, "context_length_exceeded"), code="context_budget_exceeded", retryable=False, status=422
    ),
    "500": Fault(reply=refused(500), code="provider_error", status=502),
    "503": Fault(reply=refused(503), code="provider_unavailable", status=503),
    "504": Fault(reply=refused(504), code="provider_timeout", status=504),
    "no answer": Fault(reply=Reply(before_head=[Action.HANG]), code="provider_timeout", status=504),
    "no token": Fault(reply=sse(Action.HANG), code="provider_timeout", status=504),
    "silence in the middle": Fault(
        reply=sse(text("Once "), Action.HANG), code="provider_timeout", status=504, partial="Once "
    ),
    "an early end": Fault(reply=sse(text("Once ")), code="stream_interrupted", status=502, partial="Once "),
    "an early FIN": Fault(
        reply=sse(text("Once "), Action.CLOSE), code="stream_interrupted", status=502, partial="Once "
    ),
    "a reset": Fault(
        reply=sse(text("Once "), 0.05, Action.RESET), code="stream_interrupted", status=502, partial="Once "
    ),
    "garbage": Fault(
        reply=sse(text("Once "), b'data: {"choices": [' + CANARY.encode() + b"\n\n", text("more"), finish(), DONE),
        code="provider_error",
        status=502,
        partial="Once ",
    ),
    "an error in the stream": Fault(
        reply=sse(text("Once "), frame({"error": {"message": CANARY, "code": CANARY}})),
        code="provider_error",
        status=502,
        partial="Once ",
    ),
    "nobody there": Fault(reply=sse(), code="provider_unavailable", status=503, model="closed"),
}
EVERY_FAULT = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())


@EVERY_FAULT
async def test_a_fault_is_told_and_stored_under_its_code(
    client: Client, service: Service, upstream: Upstream, fault: Fault
) -> None:
    upstream.reply(fault.reply)
    calls = len(upstream.exchanges)
    chat_id = await client.chat(model=fault.model)
    stream = await client.told(chat_id)
    assert stream.terminal is not None
    told = stream.terminal.data
    assert (told["code"], told["retryable"], told.get("retry_after_ms")) == (
        fault.code,
        fault.retryable,
        fault.retry_after_ms,
    )
    assert stream.text == fault.partial
    assert CANARY not in str(stream.frames) + service.server.output()
    assert len(upstream.exchanges) - calls == (fault.model == "hasty")
    user, *answers = await client.messages(chat_id)
    assert (user["content"], user["status"]) == ("Hello", "complete")
    kept = [(fault.partial, "partial")] if fault.partial else []
    assert [(answer["content"], answer["status"]) for answer in answers] == kept


@EVERY_FAULT
async def test_a_fault_of_a_unary_send_is_a_problem_of_its_status(
    client: Client, upstream: Upstream, fault: Fault
) -> None:
    upstream.reply(fault.reply)
    chat_id = await client.chat(model=fault.model)
    answer = await client.ask("POST", f"chats/{chat_id}/messages", {"content": "Hello"})
    problem = answer.json()
    assert (answer.status, problem["code"], problem["chat_id"]) == (fault.status, fault.code, chat_id)
    assert CANARY not in answer.body.decode()


async def test_the_chat_lives_on_after_a_fault(client: Client, upstream: Upstream) -> None:
    upstream.reply(refused(500), sse(text("Better"), finish(), DONE))
    chat_id = await client.chat(model="remote")
    await client.told(chat_id)
    stream = await client.told(chat_id)
    assert (stream.text, stream.terminal and stream.terminal.event) == ("Better", "done")
