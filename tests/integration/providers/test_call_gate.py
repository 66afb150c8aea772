"""Calls that fail, seen from outside: who is turned away, what is counted, shown and logged, and which key is used."""

import logging
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from domain.providers.errors import FailureKind
from domain.providers.events import Completed
from domain.providers.ports import CallControl
from domain.telemetry.ports import Counted
from infra.providers.circuit import CircuitState
from infra.providers.registry import ProviderRegistry, build_providers
from infra.providers.settings import AuthSettings, ProviderKind, ProviderSettings, RetrySettings
from tests.fakes.telemetry import CountingTelemetry
from tests.harness.provider_calls import collected, failure, failure_kind, request_for
from tests.harness.upstream import DONE, Action, Upstream, finish, refusal, sse, text, usage

ANSWER = sse(text("a"), finish(), usage(4, 1), DONE)


class TurnedClock:
    """Time stands still until the test moves it."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def monotonic(self) -> float:
        return self.seconds


def registry(
    url: str, telemetry: CountingTelemetry, clock: TurnedClock | None = None, **changes: object
) -> ProviderRegistry:
    common = {"breaker_failures": 2, "retry": RetrySettings(connect=0)}
    settings = ProviderSettings(
        kind=ProviderKind.OPENAI_CHAT,
        base_url=url,
        allow_http=True,
        allow_private_network=True,
        **{**common, **changes},  # type: ignore[arg-type]
    )
    return build_providers({"far": settings}, {}, clock or TurnedClock(), telemetry)  # type: ignore[arg-type]


def shown(providers: ProviderRegistry) -> CircuitState:
    return providers.gates["far"].state


async def test_a_provider_that_nobody_reaches_is_left_alone_until_probes_find_it_again() -> None:
    telemetry, clock = CountingTelemetry(), TurnedClock()
    async with Upstream() as upstream:
        url = upstream.url
    async with registry(url, telemetry, clock) as providers:
        far = providers.for_provider("far")
        for _ in range(2):
            assert failure_kind(await collected(far, request_for("gpt"))) is FailureKind.UNREACHABLE
        assert shown(providers) is CircuitState.OPEN
        clock.seconds += 4
        assert providers.closed_for("far") == timedelta(seconds=6)
        control = CallControl()
        turned_away = failure(await collected(far, request_for("gpt"), control))
        assert (turned_away.kind, turned_away.retry_after_ms) == (FailureKind.BUSY_LOCAL, 6001)
        assert not control.called
        clock.seconds += 6
        assert (shown(providers), providers.closed_for("far")) == (CircuitState.HALF_OPEN, None)
        assert failure_kind(await collected(far, request_for("gpt"))) is FailureKind.UNREACHABLE
        assert shown(providers) is CircuitState.OPEN
    assert telemetry.of(Counted.PROVIDER_REQUESTS) == {("far", "none"): 3}
    assert telemetry.of(Counted.PROVIDER_ERRORS) == {("unreachable", "far"): 3, ("busy_local", "far"): 1}
    assert telemetry.gauged[("breaker_state", "far")] == 2


async def test_answers_close_the_circuit_again() -> None:
    telemetry, clock = CountingTelemetry(), TurnedClock()
    async with Upstream() as upstream, registry(upstream.url, telemetry, clock) as providers:
        far = providers.for_provider("far")
        upstream.reply(refusal(500, {}))
        for _ in range(20):
            await collected(far, request_for("gpt"))
        assert shown(providers) is CircuitState.OPEN
        clock.seconds += 10
        upstream.reply(ANSWER)
        for _ in range(3):
            assert isinstance((await collected(far, request_for("gpt")))[-1], Completed)
        assert shown(providers) is CircuitState.CLOSED
    assert telemetry.of(Counted.PROVIDER_REQUESTS) == {("far", "5xx"): 20, ("far", "2xx"): 3}
    assert telemetry.gauged[("breaker_state", "far")] == 0


@pytest.mark.parametrize("status", [400, 404, 429])
async def test_refusals_of_a_request_are_answers(status: int) -> None:
    async with Upstream() as upstream, registry(upstream.url, CountingTelemetry()) as providers:
        upstream.reply(refusal(status, {}))
        for _ in range(30):
            await collected(providers.for_provider("far"), request_for("gpt"))
        assert providers.gates["far"].state is CircuitState.CLOSED


async def test_a_full_house_turns_further_calls_away_and_none_stays_after_them() -> None:
    async with Upstream() as upstream, registry(upstream.url, CountingTelemetry(), max_streams=1) as providers:
        far = providers.for_provider("far")
        upstream.reply(sse(text("a"), Action.HANG))
        async with far.stream(request_for("gpt"), CallControl()) as holding:
            await anext(aiter(holding))
            assert providers.closed_for("far") == timedelta(seconds=1)
            assert failure_kind(await collected(far, request_for("gpt"))) is FailureKind.BUSY_LOCAL
        upstream.reply(ANSWER)
        for _ in range(3):
            assert isinstance((await collected(far, request_for("gpt")))[-1], Completed)


async def test_a_refused_key_alarms_once_until_a_call_succeeds(caplog: pytest.LogCaptureFixture) -> None:
    telemetry = CountingTelemetry()
    async with Upstream() as upstream, registry(upstream.url, telemetry) as providers:
        upstream.reply(refusal(401, {}), refusal(403, {}), refusal(402, {}), ANSWER)
        for _ in range(3):
            await collected(providers.for_provider("far"), request_for("gpt"))
        assert telemetry.gauged[("provider_alarm", "far")] == 1
        assert [line.levelno for line in caplog.records].count(logging.ERROR) == 1
        await collected(providers.for_provider("far"), request_for("gpt"))
    assert telemetry.gauged[("provider_alarm", "far")] == 0


async def test_what_a_remote_says_is_logged_without_what_we_keep_secret(caplog: pytest.LogCaptureFixture) -> None:
    async with Upstream() as upstream, registry(upstream.url, CountingTelemetry()) as providers:
        upstream.reply(refusal(400, {"error": {"code": "localhost", "type": "bad_thing", "message": "CNRY"}}))
        await collected(providers.for_provider("far"), request_for("gpt"))
    (line,) = caplog.records
    assert line.__dict__["error_detail"] == "status 400 localhost bad_thing"
    assert "CNRY" not in str(line.__dict__)


async def test_survivable_faults_are_counted_by_call() -> None:
    telemetry = CountingTelemetry()
    async with Upstream() as upstream, registry(upstream.url, telemetry) as providers:
        upstream.reply(sse(text("a"), b"data: 5\n\n", b"data: 6\n\n", finish(), usage(4, 1), DONE))
        await collected(providers.for_provider("far"), request_for("gpt"))
    assert telemetry.of(Counted.PROVIDER_ANOMALIES) == {("frame_not_object", "far"): 1}


async def test_a_key_that_changes_in_its_file_is_used_from_the_next_call_on(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("first")
    refusals: list[None] = []
    async with Upstream() as upstream:
        settings = ProviderSettings(
            kind=ProviderKind.OPENAI_CHAT,
            base_url=upstream.url,
            allow_http=True,
            allow_private_network=True,
            auth=AuthSettings(key=f"file:{key}"),
        )
        clock = TurnedClock()
        async with build_providers({"far": settings}, {}, clock, None, lambda: refusals.append(None)) as providers:  # type: ignore[arg-type]
            upstream.reply(refusal(401, {}), ANSWER)
            await collected(providers.for_provider("far"), request_for("gpt"))
            assert len(refusals) == 1
            key.write_text("second\n")
            await providers.reread_keys()
            await collected(providers.for_provider("far"), request_for("gpt"))
            key.unlink()
            await providers.reread_keys()
            with anyio.fail_after(5):
                await collected(providers.for_provider("far"), request_for("gpt"))
    sent = [exchange.headers["authorization"] for exchange in upstream.exchanges]
    assert sent == ["Bearer first", "Bearer second", "Bearer second"]
