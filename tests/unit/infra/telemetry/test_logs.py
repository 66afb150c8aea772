import io
import json
import logging
import re
import warnings
from collections.abc import Iterator

import pytest
import structlog
from typing_extensions import override

from domain.telemetry.correlation import Correlation, correlated
from domain.telemetry.trace_context import new_trace
from infra.telemetry.logs import configure_logs


class Terminal(io.StringIO):
    @override
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.raiseExceptions = True
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.fixture
def output() -> io.StringIO:
    stream = io.StringIO()
    configure_logs("info", stream)
    return stream


def lines(output: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.getvalue().splitlines()]


def test_both_ways_of_logging_end_in_the_same_line(output: io.StringIO) -> None:
    logging.getLogger("domain.turns").warning("turn ended", extra={"turn_id": "t-1", "duration_ms": 12})
    structlog.get_logger("domain.turns").warning("turn ended", turn_id="t-1", duration_ms=12)
    one, two = lines(output)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", str(one.pop("ts")))
    two.pop("ts")
    assert one == two
    assert one == {
        "level": "warning",
        "event": "turn ended",
        "logger": "domain.turns",
        "turn_id": "t-1",
        "duration_ms": 12,
    }


def test_a_line_begins_with_time_level_and_event(output: io.StringIO) -> None:
    logging.getLogger("x").info("hello %s", "there")
    assert list(lines(output)[0])[:3] == ["ts", "level", "event"]
    assert lines(output)[0]["event"] == "hello there"


def test_lines_carry_the_ids_of_their_call(output: io.StringIO) -> None:
    trace = new_trace()
    with correlated(Correlation(request_id="r-1", trace=trace)):
        logging.getLogger("x").info("inside")
    logging.getLogger("x").info("outside")
    inside, outside = lines(output)
    assert (inside["request_id"], inside["trace_id"], inside["span_id"]) == ("r-1", trace.trace_id, trace.span_id)
    assert "request_id" not in outside


def _fail() -> None:
    try:
        _ = dict[str, str]()["the user's prompt"]
    except KeyError as cause:
        raise ExceptionGroup("also a prompt", [ValueError("and another")]) from cause


@pytest.mark.parametrize("way", ["stdlib", "structlog"])
def test_an_error_shows_its_type_and_place_but_not_its_words(output: io.StringIO, way: str) -> None:
    log = logging.getLogger("x") if way == "stdlib" else structlog.get_logger("x")
    try:
        _fail()
    except ExceptionGroup:
        log.exception("turn failed")
    (line,) = lines(output)
    errors = line["errors"]
    assert isinstance(errors, list)
    assert [error["type"] for error in errors] == [
        "builtins.ExceptionGroup",
        "builtins.ValueError",
        "builtins.KeyError",
    ]
    assert "test_logs.py" in errors[0]["at"][-1]
    assert "prompt" not in output.getvalue()
    assert "another" not in output.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abcdef0123456789",
        "token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl",
        "cannot reach postgresql://chat:hunter2hunter2@db/chat",
        "key sk-proj-abcdef0123456789",
        "AKIAABCDEFGHIJKLMNOP",
        "password=hunter2hunter2&x=1",
        'api_key: "hunter2hunter2"',
        "-----BEGIN PRIVATE KEY----- MIIEvQIBADANBgkqhkiG9w0BAQEFAASC",
        "x" * 300,
        "Task exception was never retrieved\nfuture: <Task exception=ValueError('the prompt')>",
    ],
)
def test_credentials_are_taken_out_of_events_and_fields(output: io.StringIO, text: str) -> None:
    logging.getLogger("x").warning(text, extra={"detail": {"inner": [text]}})
    written = output.getvalue()
    for secret in ("abcdef0123456789", "eyJzdWIi", "hunter2", "AKIAABCD", "MIIEvQ", "x" * 201, "the prompt"):
        assert secret not in written


@pytest.mark.parametrize("field", ["authorization", "Token", "content", "prompt", "api_key"])
def test_fields_that_hold_secrets_or_content_are_blank(output: io.StringIO, field: str) -> None:
    structlog.get_logger("x").info("sent", **{field: "anything"})
    assert lines(output)[0][field] == "[REDACTED]"


def test_long_values_are_cut(output: io.StringIO) -> None:
    structlog.get_logger("x").info("sent", detail="a b " * 1000)
    assert len(str(lines(output)[0]["detail"])) == 512


def test_values_json_does_not_know_are_written_as_text(output: io.StringIO) -> None:
    structlog.get_logger("x").info("sent", what=frozenset({ValueError}), lone="\ud800")
    (line,) = lines(output)
    assert (line["what"], line["lone"]) == (["<class 'ValueError'>"], "\ufffd")


def test_nothing_steers_the_terminal(output: io.StringIO) -> None:
    structlog.get_logger("x").info("a\x1b[2Jb", detail="c\rd")
    (line,) = lines(output)
    assert (line["event"], line["detail"]) == ("a\ufffd[2Jb", "c\ufffdd")


def test_the_level_holds_for_everybody(output: io.StringIO) -> None:
    logging.getLogger("x").debug("no")
    structlog.get_logger("x").debug("no")
    logging.getLogger("uvicorn.access").info("no")
    logging.getLogger("uvicorn.error").info("no")
    logging.getLogger("uvicorn.error").warning("yes")
    assert [line["event"] for line in lines(output)] == ["yes"]


def test_warnings_are_lines_as_well(output: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old ways", stacklevel=1)
    assert lines(output)[0]["logger"] == "py.warnings"


def test_a_terminal_gets_lines_for_people() -> None:
    terminal = Terminal()
    configure_logs("info", terminal)
    logging.getLogger("x").info("ready", extra={"port": 8080})
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} info    ready  port=8080\n", terminal.getvalue())


def test_configuring_twice_does_not_double_the_lines(output: io.StringIO) -> None:
    configure_logs("info", output)
    logging.getLogger("x").info("once")
    assert len(lines(output)) == 1
