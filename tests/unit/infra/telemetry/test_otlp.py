from collections.abc import Iterator
from datetime import timedelta

import pytest
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, SpanKind

from domain.errors import ChatNotFound
from domain.telemetry.ports import Counted, Gauged, Measured, SpanName, Telemetry
from domain.telemetry.trace_context import new_trace, trace_from
from infra.telemetry.otlp import OtlpTelemetry

HEADER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Collector:
    def __init__(self) -> None:
        self.spans = InMemorySpanExporter()
        self.counts = InMemoryMetricReader()

    def counted(self) -> dict[tuple[str, tuple[tuple[str, object], ...]], float]:
        data = self.counts.get_metrics_data()
        return {
            (metric.name, tuple((point.attributes or {}).items())): point.value
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
            if isinstance(point, NumberDataPoint)
        }


def context_of(span: ReadableSpan) -> SpanContext:
    context: SpanContext | None = span.get_span_context()
    assert context
    return context


@pytest.fixture
def collector() -> Collector:
    return Collector()


@pytest.fixture
def telemetry(collector: Collector) -> Iterator[Telemetry]:
    otlp = OtlpTelemetry("http://127.0.0.1:1", "mini-chat", timedelta(seconds=1))
    otlp.start_with(SimpleSpanProcessor(collector.spans), collector.counts)
    yield otlp
    otlp.stop()


def test_what_is_measured_is_a_histogram_with_closed_labels(telemetry: Telemetry, collector: Collector) -> None:
    for seconds in (0.25, 0.5):
        telemetry.measure(Measured.KILL_SWITCH_EFFECT, seconds, mode="abort", tenant="nobody")
    data = collector.counts.get_metrics_data()
    assert data
    (metric,) = (each for each in data.resource_metrics[0].scope_metrics[0].metrics)
    (point,) = metric.data.data_points
    assert isinstance(point, HistogramDataPoint)
    assert metric.name == "mini_chat_kill_switch_effect_seconds"
    assert (point.sum, point.count, dict(point.attributes or {})) == (0.75, 2, {"mode": "abort"})


def test_a_gauge_shows_what_was_told_last(telemetry: Telemetry, collector: Collector) -> None:
    for state in (2, 1):
        telemetry.gauge(Gauged.BREAKER_STATE, state, provider="far", tenant="nobody")
    data = collector.counts.get_metrics_data()
    assert data
    (metric,) = (each for each in data.resource_metrics[0].scope_metrics[0].metrics)
    (point,) = metric.data.data_points
    assert isinstance(point, NumberDataPoint)
    assert (metric.name, point.value, dict(point.attributes or {})) == (
        "mini_chat_breaker_state",
        1,
        {"provider": "far"},
    )


def test_a_span_continues_the_callers_trace(telemetry: Telemetry, collector: Collector) -> None:
    trace = trace_from(HEADER)
    with telemetry.span(SpanName.SEND, trace) as send, telemetry.span(SpanName.GATES, send.trace):
        pass
    gates, sent = collector.spans.get_finished_spans()
    assert f"{context_of(sent).trace_id:032x}" == trace.trace_id
    assert sent.parent is not None
    assert f"{sent.parent.span_id:016x}" == trace.span_id
    assert gates.parent is not None
    assert gates.parent.span_id == context_of(sent).span_id
    assert (sent.name, sent.kind, gates.kind) == ("chat.send", SpanKind.SERVER, SpanKind.INTERNAL)


def test_a_trace_of_ours_begins_with_a_root_of_the_same_id(telemetry: Telemetry, collector: Collector) -> None:
    trace = new_trace()
    with telemetry.span(SpanName.SEND, trace) as send:
        assert send.trace.trace_id == trace.trace_id
        assert not send.trace.is_new
    (sent,) = collector.spans.get_finished_spans()
    assert f"{context_of(sent).trace_id:032x}" == trace.trace_id
    assert sent.parent is None


def test_a_turns_spans_outlive_the_request_and_link_to_it(telemetry: Telemetry, collector: Collector) -> None:
    with telemetry.span(SpanName.SEND, new_trace()) as send:
        kept = send.trace
    with telemetry.span(SpanName.PROVIDER, kept), telemetry.span(SpanName.GATES, kept):
        pass
    sent, gates, provider = collector.spans.get_finished_spans()
    assert provider.parent is not None
    assert provider.parent.span_id == context_of(sent).span_id
    assert [link.context.span_id for link in provider.links] == [context_of(sent).span_id]
    assert provider.kind is SpanKind.CLIENT
    assert not gates.links


def test_a_job_goes_by_its_queue(telemetry: Telemetry, collector: Collector) -> None:
    with telemetry.span(SpanName.JOB, new_trace(), queue="chat_title"):
        pass
    (job,) = collector.spans.get_finished_spans()
    assert (job.name, job.kind, dict(job.attributes or {})) == ("job chat_title", SpanKind.INTERNAL, {})


def test_what_the_caller_does_not_sample_is_not_recorded(telemetry: Telemetry, collector: Collector) -> None:
    with telemetry.span(SpanName.SEND, trace_from(HEADER[:-1] + "0")) as send:
        assert send.trace.trace_id == HEADER.split("-")[1]
        assert not send.trace.sampled
    assert not collector.spans.get_finished_spans()


def test_known_attributes_pass_and_content_does_not(telemetry: Telemetry, collector: Collector) -> None:
    with telemetry.span(SpanName.PROVIDER, new_trace(), chat_id="c-1", content="the prompt") as span:
        span.note(gen_ai__request__model="m" * 300, gen_ai__usage__input_tokens=7, gen_ai__prompt="the prompt")
    (provider,) = collector.spans.get_finished_spans()
    assert dict(provider.attributes or {}) == {
        "gen_ai.conversation.id": "c-1",
        "gen_ai.request.model": "m" * 256,
        "gen_ai.usage.input_tokens": 7,
    }


def test_a_refusal_is_named_and_a_fault_is_marked_without_its_words(telemetry: Telemetry, collector: Collector) -> None:
    with pytest.raises(ChatNotFound), telemetry.span(SpanName.GATES, new_trace()):
        raise ChatNotFound
    with pytest.raises(ValueError, match="prompt"), telemetry.span(SpanName.FINALISE, new_trace()):
        raise ValueError("the prompt")
    refused, broke = collector.spans.get_finished_spans()
    assert (refused.attributes, refused.status.is_unset) == ({"error.type": "chat_not_found"}, True)
    assert (broke.attributes, broke.status.is_ok, broke.events) == ({"error.type": "ValueError"}, False, ())
    assert broke.status.description is None


def test_events_are_counted_under_allowed_labels(telemetry: Telemetry, collector: Collector) -> None:
    telemetry.count(Counted.STREAM_FAILED, provider="p", model="m", error_code="provider_error", user_id="alice")
    telemetry.count(Counted.LOST_RACE)
    telemetry.count(Counted.LOST_RACE)
    labels = (("provider", "p"), ("model", "m"), ("error_code", "provider_error"))
    assert collector.counted() == {
        ("mini_chat_stream_failed_total", labels): 1,
        ("mini_chat_lost_race_total", ()): 2,
    }


def test_before_the_start_reports_go_nowhere(collector: Collector) -> None:
    otlp = OtlpTelemetry("http://127.0.0.1:1", "mini-chat", timedelta(seconds=1))
    otlp.count(Counted.LOST_RACE)
    with otlp.span(SpanName.SEND, new_trace()):
        pass
    otlp.stop()
