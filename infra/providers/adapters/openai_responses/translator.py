"""Responses events to ours: pure, and never raises for anything a remote sends."""

from collections.abc import Mapping
from typing import Final, TypeAlias

from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.events import Completed, Failed, Finish, ProviderEvent, ReasoningDelta, ToolName, Usage
from domain.providers.request import Function, ProviderRequest
from infra.providers.adapters.openai_responses.answer import Answer
from infra.providers.adapters.openai_responses.event import Piece, piece_of, read_members, read_piece
from infra.providers.adapters.openai_responses.functions import FunctionCalls
from infra.providers.adapters.openai_responses.interpreter_output import interpreter_output
from infra.providers.adapters.openai_responses.tool_calls import ToolCalls
from infra.providers.adapters.openai_responses.usage import counted
from infra.providers.anomalies import Anomalies, Anomaly
from infra.providers.frame_json import Undecodable
from infra.providers.members import mapping, mappings, text
from infra.providers.remote_error import RemoteError, read_error, verdict
from infra.providers.remote_name import remote_name
from infra.providers.sse_decoder import DONE, Frame
from infra.providers.text_repair import TextRepair

_TEXT = "response.output_text.delta"
_REFUSAL = "response.refusal.delta"
_THOUGHTS = {"response.reasoning_text.delta", "response.reasoning_summary_text.delta"}
_ITEM_DONE = "response.output_item.done"
_ANNOTATION = "response.output_text.annotation.added"
_ARGUMENTS = "response.function_call_arguments.delta"
_SIGNS_OF_LIFE = {"response.created", "response.queued", "response.in_progress"}
_ERROR = "error"
_ENDS = {"completed", "incomplete", "failed", "cancelled"}
_INCOMPLETE = {"max_output_tokens": Finish.LENGTH, "content_filter": Finish.CONTENT_FILTER}
_CALLS = {
    "file_search_call": ToolName.FILE_SEARCH,
    "web_search_call": ToolName.WEB_SEARCH,
    "code_interpreter_call": ToolName.CODE_INTERPRETER,
}

_TOOL_EVENTS: Final[Mapping[str, tuple[ToolName, str]]] = {
    f"response.{call}.{state}": (tool, state)
    for call, tool in _CALLS.items()
    for state in ("in_progress", "searching", "interpreting", "completed")
}
_TERMINALS: Final[Mapping[str, str]] = {f"response.{end}": end for end in _ENDS}
_PIECES: Final = frozenset({_TEXT, _REFUSAL, *_THOUGHTS})
_KNOWN: Final = frozenset(
    {*_PIECES, *_TOOL_EVENTS, *_TERMINALS, *_SIGNS_OF_LIFE, _ITEM_DONE, _ANNOTATION, _ARGUMENTS, _ERROR}
)

Members: TypeAlias = dict[str, object]


class ResponsesTranslator:
    """Fills `Translator`. One object per answer."""

    def __init__(self, request: ProviderRequest, anomalies: Anomalies) -> None:
        self.finished = False
        self._anomalies = anomalies
        self._answer = Answer(request.citation_index, anomalies)
        self._reasoning = TextRepair()
        self._tools = ToolCalls()
        self._waiting: tuple[ToolName, str | None] | None = None  # a call that ended, but for its details
        self._functions = FunctionCalls((tool.name for tool in request.tools if isinstance(tool, Function)), anomalies)
        self._thought = False
        self._usage: object = None
        self._remote_id: str | None = None
        self._remote_model: str | None = None

    def on_frame(self, frame: Frame) -> list[ProviderEvent]:
        if frame.data == DONE:
            return []
        try:
            piece = read_piece(frame.data, self._anomalies)
            if piece is None:
                self._anomalies[Anomaly.FRAME_NOT_OBJECT] += 1
                return []
            if piece.type == _TEXT and self._waiting is None:
                return self._say(piece)
            return self._on_event(frame, piece)
        except Undecodable:
            return self.on_failure(ProviderFailure(kind=FailureKind.BAD_RESPONSE, detail="undecodable frame"))

    def on_eof(self) -> list[ProviderEvent]:
        return self.on_failure(ProviderFailure(kind=FailureKind.INTERRUPTED, detail="end without a terminal"))

    def on_failure(self, failure: ProviderFailure) -> list[ProviderEvent]:
        return [*self._held(), Failed(failure=failure, usage=self._counted())]

    def _on_event(self, frame: Frame, piece: Piece) -> list[ProviderEvent]:
        name = piece.type if piece.type in _KNOWN else frame.event
        if name in _PIECES:
            return self._settle() + self._on_piece(name, piece)
        if name in _KNOWN:
            members = read_members(frame.data, self._anomalies)
            settled = [] if name == _ITEM_DONE else self._settle()
            return settled + self._on_members(name, members)
        told = [] if name else self._nameless(piece, frame)
        return self._settle() + told

    def _on_piece(self, name: str, piece: Piece) -> list[ProviderEvent]:
        if name in _THOUGHTS:
            return self._think(piece)
        self._answer.refused = self._answer.refused or name == _REFUSAL
        return self._say(piece)

    def _on_members(self, name: str, members: Members) -> list[ProviderEvent]:
        if name in _TERMINALS:
            return self._terminal(_TERMINALS[name], members)
        if name in _TOOL_EVENTS:
            return self._on_tool(*_TOOL_EVENTS[name], members)
        if name == _ITEM_DONE:
            return self._item_done(members)
        if name == _ANNOTATION:
            return self._answer.annotate(mapping(members.get("annotation")), piece_of(members).place)
        if name == _ERROR:
            return self._error(members)
        self._note(name, members)
        return []

    def _note(self, name: str, members: Members) -> None:
        if name == _ARGUMENTS:
            self._functions.gather(remote_name(members.get("item_id")), text(members.get("delta")))
        else:
            self._identify(mapping(members.get("response")) or members)

    def _nameless(self, piece: Piece, frame: Frame) -> list[ProviderEvent]:
        """A frame without an event line, whose `type` is no event's: the class of an error, a future event, or none."""
        if piece.type is None and piece.delta:
            return self._say(piece)
        if piece.type is not None and piece.type.startswith("response."):
            return []
        members = read_members(frame.data, self._anomalies)
        return self._error(members) if read_error(members) else []

    def _say(self, piece: Piece) -> list[ProviderEvent]:
        return self._answer.say(piece.delta, piece.place) if piece.delta else []

    def _think(self, piece: Piece) -> list[ProviderEvent]:
        return self._thoughts(self._reasoning.feed(piece.delta)) if piece.delta else []

    def _thoughts(self, thought: str) -> list[ProviderEvent]:
        self._thought = self._thought or bool(thought)
        return [ReasoningDelta(thought)] if thought else []

    def _identify(self, response: Members) -> None:
        self._remote_id = remote_name(response.get("id")) or self._remote_id
        self._remote_model = remote_name(response.get("model")) or self._remote_model

    def _item_done(self, members: Members) -> list[ProviderEvent]:
        item = mapping(members.get("item"))
        kind, item_id = text(item.get("type")), remote_name(item.get("id"))
        if kind == "function_call":
            return self._settle() + self._functions.complete(item)
        tool = _CALLS.get(kind or "")
        if tool is not None and self._waiting in {(tool, item_id), (tool, None)}:
            return self._settle(item)
        settled = self._settle()
        if tool is None or not self._tools.may_end(tool, item_id):
            return settled
        return settled + self._tools.end(tool, item_id, self._details(tool, item))

    def _settle(self, details: Members | None = None) -> list[ProviderEvent]:
        """Ends the call whose details may come with the very next frame."""
        if self._waiting is None:
            return []
        (tool, item_id), self._waiting = self._waiting, None
        return self._tools.end(tool, item_id, self._details(tool, details or {}))

    def _details(self, tool: ToolName, members: Members) -> dict[str, object]:
        if tool is ToolName.FILE_SEARCH:
            return {"files_searched": self._answer.remember(members.get("results"))}
        if tool is ToolName.CODE_INTERPRETER:
            return {"output": interpreter_output(members.get("outputs"))}
        return {}

    def _on_tool(self, tool: ToolName, state: str, members: Members) -> list[ProviderEvent]:
        """What a search found or a program printed may stand at its end, else in the finished item right behind."""
        item_id = remote_name(members.get("item_id"))
        if state != "completed":
            return self._tools.start(tool, item_id)
        if tool is ToolName.WEB_SEARCH or members.get("results") is not None or members.get("outputs") is not None:
            return self._tools.end(tool, item_id, self._details(tool, members))
        self._waiting = tool, item_id
        return self._tools.start(tool, item_id)

    def _terminal(self, said: str, members: Members) -> list[ProviderEvent]:
        """Wrapped, with its members under `response`, or flat."""
        wrapped = members.get("response")
        response = wrapped if isinstance(wrapped, dict) else members
        self._identify(response)
        self._usage = response.get("usage") or self._usage
        events = self._answer.conclude(response.get("output"))
        for item in mappings(response.get("output")):
            if item.get("type") == "function_call":
                events += self._functions.complete(item)
        status = text(response.get("status"))
        ending = status if said == "completed" and status in _ENDS else said
        return events + self._end(ending, response, members)

    def _end(self, ending: str, response: Members, members: Members) -> list[ProviderEvent]:
        if ending == "completed":
            return self._completed(Finish.STOP)
        if ending == "incomplete":
            return self._completed(self._reason(text(mapping(response.get("incomplete_details")).get("reason"))))
        return self._error(response if read_error(response) else members)

    def _reason(self, reason: str | None) -> Finish:
        if reason not in _INCOMPLETE:
            self._anomalies[Anomaly.UNKNOWN_FINISH] += 1
        return _INCOMPLETE.get(reason or "", Finish.LENGTH)

    def _error(self, members: Members) -> list[ProviderEvent]:
        ending = verdict(read_error(members) or RemoteError(), None)
        return self.on_failure(ending) if isinstance(ending, ProviderFailure) else self._completed(ending)

    def _completed(self, finish: Finish) -> list[ProviderEvent]:
        held = self._held()
        completed = Completed(
            finish=Finish.CONTENT_FILTER if self._answer.refused else finish,
            usage=self._counted(),
            remote_id=self._remote_id,
            remote_model=self._remote_model,
        )
        return [*held, completed]

    def _held(self) -> list[ProviderEvent]:
        return [*self._settle(), *self._thoughts(self._reasoning.flush()), *self._answer.flush()]

    def _counted(self) -> Usage | None:
        return counted(self._usage, self._anomalies, spoke=self._answer.spoke or self._thought)
