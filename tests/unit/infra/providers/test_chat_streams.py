"""Streams of real servers mean the same in every cut and with every line end."""

import pytest

from domain.providers.events import Completed, ToolDone, ToolStart
from domain.providers.request import Function
from infra.providers.adapters.openai_chat.request import OpenAiChat
from infra.providers.anomalies import Anomalies, Anomaly
from infra.providers.call_headers import CallHeaders
from infra.providers.settings import ProviderKind, ProviderSettings
from tests.harness.provider_calls import request_for
from tests.harness.wire_shapes import events_of, joined, shapes_of
from tests.unit.infra.providers.chat_streams import OFFERED, RECORDED, Recorded

REQUEST = request_for("any", tools=(Function(name=OFFERED, description="", schema={"type": "object"}),))


def adapter(recorded: Recorded) -> OpenAiChat:
    settings = ProviderSettings(kind=ProviderKind.OPENAI_CHAT, flavour=recorded.flavour, think_tags=recorded.think_tags)
    return OpenAiChat(settings, CallHeaders(settings, None, {}, "mini-chat/1"))


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_stream_becomes_the_same_events_however_it_is_delivered(name: str) -> None:
    recorded = RECORDED[name]
    chat, counted = adapter(recorded), []
    for shape, chunks in shapes_of(recorded.stream):
        anomalies = Anomalies()
        assert joined(events_of(chat.translator(REQUEST, anomalies), chunks)) == recorded.events, shape
        counted.append(anomalies)
    assert all(anomalies == counted[0] for anomalies in counted)
    assert set(counted[0]) <= {Anomaly.UNOFFERED_TOOL_CALL}


@pytest.mark.parametrize("name", RECORDED)
def test_wherever_a_recorded_stream_breaks_off_it_ends_once_and_leaves_no_call_open(name: str) -> None:
    chat, stream = adapter(RECORDED[name]), RECORDED[name].stream
    finish_lines = [line for line in stream.splitlines() if b'"finish_reason":"' in line]
    for end in range(0, len(stream), 7):
        *before, terminal = events_of(chat.translator(REQUEST, Anomalies()), [stream[:end]])
        starts = [event.key for event in before if isinstance(event, ToolStart)]
        dones = [event.key for event in before if isinstance(event, ToolDone)]
        assert starts == dones
        has_finished = any(line in stream[:end] for line in finish_lines)
        assert isinstance(terminal, Completed) is has_finished
