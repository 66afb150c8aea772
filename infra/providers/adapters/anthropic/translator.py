"""Events of a Messages stream to ours: pure, and never raises for anything a remote sends."""

from typing import Final

from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.events import Completed, Failed, Finish, ProviderEvent, ToolName, Usage, UsageReport
from domain.providers.request import Function, ProviderRequest, WebSearch
from infra.providers.adapters.anthropic.blocks import CallBlock, OpenBlock, TextBlock
from infra.providers.adapters.anthropic.event import Block, Delta, Event, read_event
from infra.providers.adapters.anthropic.running_usage import RunningUsage
from infra.providers.adapters.anthropic.searches import Searches
from infra.providers.adapters.anthropic.speech import Speech
from infra.providers.anomalies import Anomalies, Anomaly
from infra.providers.citations import CitationList
from infra.providers.frame_json import Undecodable, repaired_json
from infra.providers.function_call import MOST_CALLS, NumberedCall
from infra.providers.remote_error import RemoteError, read_error, verdict
from infra.providers.remote_name import remote_name
from infra.providers.sse_decoder import DONE, Frame

_NAMES: Final = {
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
    "ping",
    "error",
}
_FINISH: Final = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "tool_use": Finish.STOP,  # the calls have been told; there is no round to go on with
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "refusal": Finish.CONTENT_FILTER,
    "pause_turn": Finish.TOOL_LIMIT,
}
_MOST_OPEN: Final = 64


class MessagesTranslator:
    """Fills `Translator`. One object per answer."""

    def __init__(self, request: ProviderRequest, anomalies: Anomalies) -> None:
        self.finished = False
        self._offered = {tool.name for tool in request.tools if isinstance(tool, Function)}
        self._anomalies = anomalies
        self._speech = Speech()
        self._open: dict[int, OpenBlock] = {}
        self._calls = 0
        self._searches = Searches(next((tool.max_uses for tool in request.tools if isinstance(tool, WebSearch)), None))
        self._citations = CitationList()
        self._usage = RunningUsage()
        self._finish = Finish.STOP
        self._remote_id: str | None = None
        self._remote_model: str | None = None

    def on_frame(self, frame: Frame) -> list[ProviderEvent]:
        if frame.data == DONE:
            return []
        try:
            event = read_event(frame.data, self._anomalies)
        except Undecodable:
            return self.on_failure(ProviderFailure(kind=FailureKind.BAD_RESPONSE, detail="undecodable frame"))
        if event is None and frame.event != "error":
            self._anomalies[Anomaly.FRAME_NOT_OBJECT] += 1
            return []
        event = event or Event()
        name = event.type if event.type in _NAMES else frame.event
        if name == "error" or (event.error and name not in _NAMES):
            return self._on_error(frame)
        return self._on_event(name, event)

    def on_eof(self) -> list[ProviderEvent]:
        if self.finished:
            self._anomalies[Anomaly.MISSING_TERMINAL] += 1
            return self._completed()
        return self.on_failure(ProviderFailure(kind=FailureKind.INTERRUPTED, detail="end without a terminal"))

    def on_failure(self, failure: ProviderFailure) -> list[ProviderEvent]:
        return [*self._held(), Failed(failure=failure, usage=self._counted())]

    def _on_event(self, name: str, event: Event) -> list[ProviderEvent]:
        events: list[ProviderEvent] = []
        match name:
            case "content_block_delta" if event.delta is not None:
                events += self._on_delta(event.index, event.delta)
            case "content_block_start" if event.content_block is not None:
                events += self._on_block(event.index, event.content_block)
            case "content_block_stop":
                events += self._close(event.index)
            case "message_start":
                events += self._on_start(event)
            case "message_delta":
                self._on_progress(event)
            case "message_stop":
                events += self._on_stop()
        return events

    def _on_start(self, event: Event) -> list[UsageReport]:
        if event.message is None:
            return []
        self._remote_id, self._remote_model = remote_name(event.message.id), remote_name(event.message.model)
        self._usage.begin(event.message.usage or {})
        usage = self._counted()
        return [] if usage is None else [UsageReport(usage)]

    def _on_block(self, index: int, block: Block) -> list[ProviderEvent]:
        events = self._close(index)
        if len(self._open) == _MOST_OPEN:
            events += self._close(next(iter(self._open)))
        match block.type:
            case "text":
                self._open[index] = TextBlock(self._speech.length)
                events += self._speech.say(block.text)
            case "thinking":
                events += self._speech.think(block.thinking)
            case "tool_use":
                events += self._begin_call(index, block)
            case "server_tool_use" if block.name == ToolName.WEB_SEARCH:
                events += self._searches.begin(block.id)
            case "web_search_tool_result":
                events += self._searches.end(block.tool_use_id, refused=isinstance(block.content, dict))
        return events

    def _on_delta(self, index: int, delta: Delta) -> list[ProviderEvent]:
        if delta.type == "text_delta":
            return [*self._speech.say(delta.text)]
        if delta.type == "thinking_delta":
            return [*self._speech.think(delta.thinking)]
        block = self._open.get(index)
        if isinstance(block, CallBlock) and delta.type == "input_json_delta" and delta.partial_json:
            block.add(delta.partial_json)
        elif isinstance(block, TextBlock) and delta.type == "citations_delta" and delta.citation:
            self._cite(block, delta.citation)
        return []

    def _cite(self, block: TextBlock, source: dict[str, object]) -> None:
        if self._citations.may_look():
            block.cite(source)

    def _on_progress(self, event: Event) -> None:
        self._usage.grow(event.usage or {})
        reason = event.delta.stop_reason if event.delta is not None else None
        if reason:
            self.finished = True
            if reason not in _FINISH:
                self._anomalies[Anomaly.UNKNOWN_FINISH] += 1
            self._finish = _FINISH.get(reason, Finish.STOP)

    def _on_stop(self) -> list[ProviderEvent]:
        if not self.finished:
            self._anomalies[Anomaly.MISSING_FINISH] += 1
        return self._completed()

    def _on_error(self, frame: Frame) -> list[ProviderEvent]:
        ending = verdict(read_error(repaired_json(frame.data, self._anomalies)) or RemoteError(), None)
        if isinstance(ending, ProviderFailure):
            return self.on_failure(ending)
        self._finish = ending
        return self._completed()

    def _begin_call(self, index: int, block: Block) -> list[ProviderEvent]:
        if block.name is None or block.name not in self._offered:
            self._anomalies[Anomaly.UNOFFERED_TOOL_CALL] += 1
            return []
        if self._calls == MOST_CALLS:
            self._anomalies[Anomaly.EXCESSIVE_TOOL_CALL] += 1
            return []
        call = CallBlock(NumberedCall(self._calls, block.name), block.input)
        self._calls += 1
        self._open[index] = call
        return [call.start()]

    def _close(self, index: int) -> list[ProviderEvent]:
        block = self._open.pop(index, None)
        if isinstance(block, CallBlock):
            return [*block.close(self._anomalies)]
        if block is None:
            return []
        rest = self._speech.pause()
        return [*rest, *block.close(self._speech.length, self._citations)]

    def _held(self) -> list[ProviderEvent]:
        events: list[ProviderEvent] = [*self._speech.end()]
        for index in list(self._open):
            events += self._close(index)
        return events

    def _completed(self) -> list[ProviderEvent]:
        events, usage = self._held(), self._counted()
        if usage is None or usage.input_tokens is None or usage.output_tokens is None:
            self._anomalies[Anomaly.INVALID_USAGE] += 1
        return [
            *events,
            Completed(finish=self._finish, usage=usage, remote_id=self._remote_id, remote_model=self._remote_model),
        ]

    def _counted(self) -> Usage | None:
        return self._usage.counted(spoke=self._speech.begun)
