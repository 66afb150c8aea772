"""A stream of tokens to events: pure, and never raises for anything a remote sends."""

import msgspec

from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.events import Completed, Failed, Finish, ProviderEvent, TextDelta
from infra.providers.adapters.inference_http.markers import MarkerParser, Piece
from infra.providers.adapters.inference_http.tool_calls import ToolCalls
from infra.providers.anomalies import Anomalies, Anomaly
from infra.providers.frame_json import Undecodable, repaired_json
from infra.providers.remote_error import RemoteError, read_error, verdict
from infra.providers.sse_decoder import DONE, Frame
from infra.providers.text_repair import TextRepair


class TokenFrame(msgspec.Struct, gc=False):
    """Missing, null and mistyped members are all just absent."""

    token: str | None = None
    done: bool | None = None
    error: object = None


_DECODER = msgspec.json.Decoder(TokenFrame)


class TokenTranslator:
    """Fills `Translator`. One object per answer, which was asked for at most `max_tokens`."""

    def __init__(self, max_tokens: int, anomalies: Anomalies) -> None:
        self.finished = False
        self._tokens_left = max_tokens
        self._anomalies = anomalies
        self._text = TextRepair()
        self._parser = MarkerParser()
        self._tools = ToolCalls(anomalies)

    def on_frame(self, frame: Frame) -> list[ProviderEvent]:
        if frame.data == DONE:
            return []
        try:
            read = _read(frame.data, self._anomalies)
        except Undecodable:
            return self.on_failure(ProviderFailure(kind=FailureKind.BAD_RESPONSE, detail="undecodable frame"))
        if read is None:
            self._anomalies[Anomaly.FRAME_NOT_OBJECT] += 1
            return []
        if read.error or frame.event == "error":
            return self._on_error(frame)
        events: list[ProviderEvent] = []
        if read.token is not None:
            self._tokens_left -= 1
            events += self._events(self._parser.feed(self._text.feed(read.token)))
        if read.done:
            events += self._completed(Finish.STOP if self._tokens_left > 0 else Finish.LENGTH)
        return events

    def on_eof(self) -> list[ProviderEvent]:
        return self.on_failure(ProviderFailure(kind=FailureKind.INTERRUPTED, detail="end without a terminal"))

    def on_failure(self, failure: ProviderFailure) -> list[ProviderEvent]:
        return [*self._held(), Failed(failure=failure)]

    def _on_error(self, frame: Frame) -> list[ProviderEvent]:
        error = read_error(repaired_json(frame.data, self._anomalies)) or RemoteError()
        ending = verdict(error, None)
        return self.on_failure(ending) if isinstance(ending, ProviderFailure) else self._completed(ending)

    def _completed(self, finish: Finish) -> list[ProviderEvent]:
        """Without usage, for nobody counts here but us."""
        return [*self._held(), Completed(finish=finish)]

    def _held(self) -> list[ProviderEvent]:
        return [*self._events(self._parser.feed(self._text.flush())), *self._events(self._parser.flush())]

    def _events(self, pieces: list[Piece]) -> list[ProviderEvent]:
        events: list[ProviderEvent] = []
        for piece in pieces:
            if isinstance(piece, str):
                events.append(TextDelta(piece))
            else:
                events += self._tools.events(piece)
        return events


def _read(data: bytes, anomalies: Anomalies) -> TokenFrame | None:
    """None for JSON that is no object; raises Undecodable for what is no JSON."""
    try:
        return _DECODER.decode(data)
    except (ValueError, RecursionError):
        value = repaired_json(data, anomalies)
    if not isinstance(value, dict):
        return None
    token = value.get("token")
    return TokenFrame(
        token=token if isinstance(token, str) else None, done=value.get("done") is True, error=value.get("error")
    )
