"""Chat completion chunks to events: pure, and never raises for anything a remote sends."""

from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.events import Completed, Failed, Finish, ProviderEvent, ReasoningDelta, Usage
from infra.providers.adapters.openai_chat.chunk import Choice, Chunk, Delta, read_chunk
from infra.providers.adapters.openai_chat.think_tags import ThinkSplitter
from infra.providers.adapters.openai_chat.tool_calls import ToolCalls
from infra.providers.anomalies import Anomalies, Anomaly
from infra.providers.frame_json import Undecodable, repaired_json
from infra.providers.remote_error import RemoteError, read_error, verdict
from infra.providers.remote_name import remote_name
from infra.providers.settings import ThinkTags
from infra.providers.sse_decoder import DONE, Frame
from infra.providers.text_repair import TextRepair
from infra.providers.token_count import token_count

_FINISH = {
    "stop": Finish.STOP,
    "eos": Finish.STOP,
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "length": Finish.LENGTH,
    "max_tokens": Finish.LENGTH,
    "model_length": Finish.LENGTH,
    "content_filter": Finish.CONTENT_FILTER,
    "sensitive": Finish.CONTENT_FILTER,
    "safety": Finish.CONTENT_FILTER,
    "tool_calls": Finish.STOP,  # the calls themselves ask the engine for another round
    "function_call": Finish.STOP,
}
_BROKEN = {"abort", "error", "network_error", "insufficient_system_resource"}


class ChatTranslator:
    """Fills `Translator`. One object per answer; `offered` names the functions that it may call."""

    def __init__(self, think_tags: ThinkTags, offered: frozenset[str], anomalies: Anomalies) -> None:
        self.finished = False
        self._anomalies = anomalies
        self._calls = ToolCalls(offered, anomalies)
        self._splitter = ThinkSplitter(think_tags)
        self._text = TextRepair()
        self._reasoning = TextRepair()
        self._finish = Finish.STOP
        self._refused = False
        self._spoke = False
        self._usage: dict[str, object] | None = None
        self._remote_id: str | None = None
        self._remote_model: str | None = None

    def on_frame(self, frame: Frame) -> list[ProviderEvent]:
        if frame.data == DONE:
            return self._done()
        try:
            return self._on_data(frame)
        except Undecodable:
            return self.on_failure(ProviderFailure(kind=FailureKind.BAD_RESPONSE, detail="undecodable frame"))

    def on_eof(self) -> list[ProviderEvent]:
        if self.finished:
            return self._completed()
        return self.on_failure(ProviderFailure(kind=FailureKind.INTERRUPTED, detail="end without a terminal"))

    def on_failure(self, failure: ProviderFailure) -> list[ProviderEvent]:
        return [*self._held(), *self._calls.close(), Failed(failure=failure, usage=self._counted())]

    def _on_data(self, frame: Frame) -> list[ProviderEvent]:
        if frame.event == "error":
            return self._on_error(frame)
        chunk = read_chunk(frame.data, self._anomalies)
        if chunk is None:
            self._anomalies[Anomaly.FRAME_NOT_OBJECT] += 1
            return []
        if chunk.error or self._is_flat_error(chunk, frame):
            return self._on_error(frame)
        return self._on_chunk(chunk)

    def _is_flat_error(self, chunk: Chunk, frame: Frame) -> bool:
        """Some servers send the error's members at the top, told only by their `object`."""
        if chunk.choices is not None or chunk.usage is not None:
            return False
        value = repaired_json(frame.data, self._anomalies)
        return isinstance(value, dict) and value.get("object") == "error"

    def _on_chunk(self, chunk: Chunk) -> list[ProviderEvent]:
        events: list[ProviderEvent] = []
        if self._remote_id is None:
            self._remote_id, self._remote_model = remote_name(chunk.id), remote_name(chunk.model)
        for choice in chunk.choices or ():
            if choice.index == 0:
                self._on_choice(choice, events)
                break
        if chunk.usage:
            self._usage = chunk.usage
        if events and isinstance(events[-1], Failed):
            return events
        if self.finished and chunk.usage:
            events += self._completed()
        return events

    def _on_choice(self, choice: Choice, events: list[ProviderEvent]) -> None:
        if choice.delta is not None:
            self._on_delta(choice.delta, events)
        if choice.finish_reason in _BROKEN:
            failure = ProviderFailure(kind=FailureKind.SERVER_ERROR, detail=f"finish reason {choice.finish_reason}")
            events += self.on_failure(failure)
        elif choice.finish_reason:
            self._on_finish(choice.finish_reason)
            events += self._calls.close()

    def _on_delta(self, delta: Delta, events: list[ProviderEvent]) -> None:
        if delta.content:
            self._spoke = True
            events += self._splitter.feed(self._text.feed(delta.content))
        reasoning = delta.reasoning_content or delta.reasoning
        if reasoning:
            events += self._splitter.flush()  # a server that separates reasoning itself writes no tags
            self._reason(self._reasoning.feed(reasoning), events)
        if delta.refusal:
            self._refused = self._spoke = True
            events += self._splitter.flush()  # it is said to the reader, whatever the model was thinking
            events += self._splitter.feed(self._text.feed(delta.refusal))
        if delta.tool_calls:
            self._spoke = True
            events += self._calls.feed(delta.tool_calls)

    def _reason(self, text: str, events: list[ProviderEvent]) -> None:
        if text:
            self._spoke = True
            events.append(ReasoningDelta(text))

    def _on_finish(self, reason: str) -> None:
        self.finished = True
        if reason not in _FINISH:
            self._anomalies[Anomaly.UNKNOWN_FINISH] += 1
        self._finish = _FINISH.get(reason, Finish.STOP)

    def _on_error(self, frame: Frame) -> list[ProviderEvent]:
        error = read_error(repaired_json(frame.data, self._anomalies)) or RemoteError()
        ending = verdict(error, None)
        if isinstance(ending, ProviderFailure):
            return self.on_failure(ending)
        self._finish = ending
        return self._completed()

    def _done(self) -> list[ProviderEvent]:
        if not self.finished:
            self._anomalies[Anomaly.MISSING_FINISH] += 1
        return self._completed()

    def _completed(self) -> list[ProviderEvent]:
        finish = Finish.CONTENT_FILTER if self._refused else self._finish
        completed = Completed(
            finish=finish, usage=self._counted(), remote_id=self._remote_id, remote_model=self._remote_model
        )
        return [*self._held(), *self._calls.close(), completed]

    def _held(self) -> list[ProviderEvent]:
        events: list[ProviderEvent] = [*self._splitter.feed(self._text.flush()), *self._splitter.flush()]
        self._reason(self._reasoning.flush(), events)
        return events

    def _counted(self) -> Usage | None:
        """None where the remote did not count, or counted nothing although text came: then we estimate."""
        if self._usage is None:
            return None
        usage = Usage(
            input_tokens=token_count(self._usage.get("prompt_tokens")) or None,
            output_tokens=self._output_tokens(token_count(self._usage.get("completion_tokens"))),
            cache_read_tokens=_detail(self._usage, "prompt_tokens_details", "cached_tokens"),
            reasoning_tokens=_detail(self._usage, "completion_tokens_details", "reasoning_tokens"),
        )
        if usage.input_tokens is None or usage.output_tokens is None:
            self._anomalies[Anomaly.INVALID_USAGE] += 1
        return None if usage.input_tokens is None and usage.output_tokens is None else usage

    def _output_tokens(self, count: int | None) -> int | None:
        return None if count == 0 and self._spoke else count


def _detail(usage: dict[str, object], group: str, name: str) -> int | None:
    details = usage.get(group)
    return token_count(details.get(name)) if isinstance(details, dict) else None
