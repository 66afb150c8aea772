import pytest

from domain.telemetry.trace_context import new_trace, trace_from

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("03", True), ("02", False)])
def test_a_valid_header_is_taken_over_and_handed_on(flags: str, sampled: bool) -> None:
    trace = trace_from(f"00-{TRACE}-{SPAN}-{flags}")
    assert (trace.trace_id, trace.span_id, trace.sampled) == (TRACE, SPAN, sampled)
    assert trace.traceparent() == f"00-{TRACE}-{SPAN}-{'01' if sampled else '00'}"
    assert not trace.is_new


def test_a_later_version_may_carry_more_fields_and_is_handed_on_as_ours() -> None:
    trace = trace_from(f"cc-{TRACE}-{SPAN}-01-what-the-future-brings")
    assert trace.traceparent() == f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "garbage",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE}-{SPAN}-0\u0661",
    ],
)
def test_an_invalid_header_starts_a_new_trace(header: str | None) -> None:
    trace = trace_from(header)
    assert trace.trace_id not in {TRACE, "0" * 32}
    assert trace.is_new
    assert trace_from(trace.traceparent()).trace_id == trace.trace_id


def test_new_traces_differ() -> None:
    assert len({new_trace().trace_id for _ in range(100)}) == 100
