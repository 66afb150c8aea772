"""Spans and counters by OpenTelemetry, sent by OTLP over HTTP.

Spans are made by hand, a handful per turn. What hangs together travels as a value, the TraceContext,
so a turn stays in its trace after its request has ended; nothing depends on ambient context.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from datetime import timedelta
from types import TracebackType
from typing import Self

from opentelemetry import trace as otel
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import Counter, Histogram
from opentelemetry.metrics import _Gauge as Gauge
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from typing_extensions import override

from domain.errors import DomainError
from domain.telemetry.ports import Counted, Gauged, Measured, SpanName
from domain.telemetry.trace_context import TraceContext

MAX_ATTRIBUTE_CHARS = 256

_KINDS: Mapping[SpanName, otel.SpanKind] = {
    SpanName.SEND: otel.SpanKind.SERVER,
    SpanName.PROVIDER: otel.SpanKind.CLIENT,
}
_OUTLIVE_THE_REQUEST = frozenset({SpanName.PROVIDER, SpanName.FINALISE, SpanName.REAP})
_OUR_IDS: Mapping[str, str] = {
    "chat_id": "gen_ai.conversation.id",
    "turn_id": "mini_chat.turn.id",
    "request_id": "mini_chat.request.id",
    "tenant_id": "mini_chat.tenant.id",
    "stage": "mini_chat.stage",
}
_ATTRIBUTES = frozenset(_OUR_IDS.values()) | {
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.request.max_tokens",
    "gen_ai.request.temperature",
    "gen_ai.request.top_p",
    "gen_ai.response.id",
    "gen_ai.response.model",
    "gen_ai.response.finish_reasons",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.tool.name",
    "error.type",
    "server.address",
}
_LABELS = frozenset(
    {
        "provider",
        "model",
        "error_code",
        "reason",
        "stage",
        "cause",
        "source",
        "kind",
        "gate",
        "code",
        "mode",
        "result",
        "task",
        "queue",
        "decision",
        "tier",
        "from",
        "to",
        "period",
        "scope",
        "op",
        "trigger",
        "tool",
        "phase",
        "what",
    }
)

_given_trace_id: ContextVar[int] = ContextVar("given_trace_id")


class OtlpTelemetry:
    """`deadline` bounds each transmission, its retries included, and therefore the wait for the last one."""

    def __init__(self, endpoint: str, service_name: str, deadline: timedelta) -> None:
        self._endpoint, self._deadline_s = endpoint.rstrip("/"), deadline.total_seconds()
        self._resource = Resource.create({"service.name": service_name})
        self._tracers = TracerProvider(resource=self._resource, id_generator=_GivenTraceIds(), shutdown_on_exit=False)
        self._tracer = self._tracers.get_tracer("mini_chat")
        self._meters: MeterProvider | None = None
        self._counters: dict[Counted, Counter] = {}
        self._histograms: dict[Measured, Histogram] = {}
        self._gauges: dict[Gauged, Gauge] = {}

    def span(self, name: SpanName, trace: TraceContext, **attributes: str | float) -> "RecordedSpan":
        links = [otel.Link(_span_context(trace))] if name in _OUTLIVE_THE_REQUEST and not trace.is_new else []
        given = _given_trace_id.set(int(trace.trace_id, 16))
        try:
            span = self._tracer.start_span(
                _title(name, attributes),
                context=_parent(trace),
                kind=_KINDS.get(name, otel.SpanKind.INTERNAL),
                attributes=_allowed(attributes),
                links=links,
                record_exception=False,
                set_status_on_exception=False,
            )
        finally:
            _given_trace_id.reset(given)
        return RecordedSpan(span)

    def count(self, event: Counted, **labels: str) -> None:
        counter = self._counters.get(event)
        if counter is not None:
            counter.add(1, _known(labels))

    def measure(self, what: Measured, value: float, **labels: str) -> None:
        histogram = self._histograms.get(what)
        if histogram is not None:
            histogram.record(value, _known(labels))

    def gauge(self, what: Gauged, value: float, **labels: str) -> None:
        gauge = self._gauges.get(what)
        if gauge is not None:
            gauge.set(value, _known(labels))

    def start(self) -> None:
        self.start_with(
            BatchSpanProcessor(OTLPSpanExporter(f"{self._endpoint}/v1/traces", timeout=self._deadline_s)),
            PeriodicExportingMetricReader(OTLPMetricExporter(f"{self._endpoint}/v1/metrics", timeout=self._deadline_s)),
        )

    def start_with(self, processor: SpanProcessor, reader: MetricReader) -> None:
        """From now on spans go to the processor and counts to the reader."""
        self._tracers.add_span_processor(processor)
        self._meters = MeterProvider(metric_readers=[reader], resource=self._resource, shutdown_on_exit=False)
        meter = self._meters.get_meter("mini_chat")
        self._counters = {event: meter.create_counter(f"mini_chat_{event.value}_total") for event in Counted}
        self._histograms = {what: meter.create_histogram(f"mini_chat_{what.value}") for what in Measured}
        self._gauges = {what: meter.create_gauge(f"mini_chat_{what.value}") for what in Gauged}

    def stop(self) -> None:
        """Blocks while it sends the rest."""
        self._tracers.shutdown()
        if self._meters is not None:
            self._meters.shutdown()


class RecordedSpan:
    __slots__ = ("_span",)

    def __init__(self, span: otel.Span) -> None:
        self._span = span

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, DomainError):
            self._span.set_attribute("error.type", error.code)
        elif isinstance(error, Exception):
            self.failed(type(error).__qualname__)
        self._span.end()

    @property
    def trace(self) -> TraceContext:
        context = self._span.get_span_context()
        return TraceContext(
            trace_id=f"{context.trace_id:032x}",
            span_id=f"{context.span_id:016x}",
            sampled=context.trace_flags.sampled,
        )

    def note(self, **attributes: str | float) -> None:
        self._span.set_attributes(_allowed(attributes))

    def failed(self, error_type: str) -> None:
        self._span.set_attribute("error.type", error_type)
        self._span.set_status(otel.StatusCode.ERROR)


class _GivenTraceIds(RandomIdGenerator):
    """A root span takes the trace id that answers and log lines already name."""

    @override
    def generate_trace_id(self) -> int:
        return _given_trace_id.get()


def _title(name: SpanName, attributes: Mapping[str, str | float]) -> str:
    """A job goes by its queue."""
    return f"{name.value} {attributes['queue']}" if name is SpanName.JOB else name.value


def _parent(trace: TraceContext) -> Context:
    if trace.is_new:
        return Context()
    return otel.set_span_in_context(otel.NonRecordingSpan(_span_context(trace)), Context())


def _span_context(trace: TraceContext) -> otel.SpanContext:
    flags = otel.TraceFlags(otel.TraceFlags.SAMPLED if trace.sampled else otel.TraceFlags.DEFAULT)
    return otel.SpanContext(int(trace.trace_id, 16), int(trace.span_id, 16), is_remote=True, trace_flags=flags)


def _known(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if name in _LABELS}


def _allowed(attributes: Mapping[str, str | float]) -> dict[str, str | float]:
    """Only known names pass, so that no content does by mistake."""
    named = {_OUR_IDS.get(name, name.replace("__", ".")): value for name, value in attributes.items()}
    return {
        name: value[:MAX_ATTRIBUTE_CHARS] if isinstance(value, str) else value
        for name, value in named.items()
        if name in _ATTRIBUTES
    }
