"""`python -m bench.responses`: CPU time of one delta from a model server's bytes to ours, for two formats.

Decoded, translated, folded into the turn and encoded: all that happens to a delta but for sockets and tasks, which
`python -m bench` measures.
"""

import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Final

from api.streaming.sse_wire import frame
from bench.formats import CHAT_COMPLETIONS, RESPONSES, Format
from bench.report import Gate
from domain.providers.request import ProviderRequest, Purpose, UserText
from domain.streaming.transcript import Transcript
from infra.providers.adapter import Translator
from infra.providers.adapters.openai_chat.translator import ChatTranslator
from infra.providers.adapters.openai_responses.translator import ResponsesTranslator
from infra.providers.anomalies import Anomalies
from infra.providers.settings import ThinkTags
from infra.providers.sse_decoder import MAX_STREAM_BYTES, SseDecoder

_DELTAS: Final = 2_000
_ROUNDS: Final = 15
_REQUEST: Final = ProviderRequest(
    purpose=Purpose.CHAT,
    model="bench",
    catalog_model="bench",
    instructions=None,
    items=(UserText("bench/1"),),
    max_output_tokens=_DELTAS,
)


def _relay(translator: Translator, chunks: list[bytes]) -> None:
    """Raises AssertionError unless each chunk became one frame: what loses text has no speed."""
    decoder = SseDecoder()
    transcript = Transcript(time.monotonic, MAX_STREAM_BYTES, exposes_reasoning=True)
    frames = 0
    for chunk in chunks:
        for received in decoder.feed(chunk):
            for event in translator.on_frame(received):
                told = transcript.fold(event)
                if told is not None:
                    frames += 1
                    frame(frames, told)
    assert frames == len(chunks)  # noqa: S101  the bench's own proof


def _us_per_delta(translator: Callable[[], Translator], of: Format) -> float:
    """The median of some rounds."""
    chunks = [of.delta(b"bench/1:%d " % number, number) for number in range(_DELTAS)]
    rounds_us = []
    for _ in range(_ROUNDS):
        started = time.process_time()
        _relay(translator(), chunks)
        rounds_us.append((time.process_time() - started) * 1_000_000 / _DELTAS)
    return median(rounds_us)


def gates() -> list[Gate]:
    chat_us = _us_per_delta(lambda: ChatTranslator(ThinkTags.OFF, frozenset(), Anomalies()), CHAT_COMPLETIONS)
    responses_us = _us_per_delta(lambda: ResponsesTranslator(_REQUEST, Anomalies()), RESPONSES)
    remark = f"; {responses_us / chat_us:.2f} x chat completions"
    return [
        Gate(what="a delta of chat completions", measured=chat_us, limit=12, unit="us"),
        Gate(what="a delta of the Responses API", measured=responses_us, limit=12, unit="us", remark=remark),
    ]


def main() -> int:
    found = gates()
    for gate in found:
        print(gate)
    return int("--gate" in sys.argv and not all(gate.met for gate in found))


if __name__ == "__main__":
    sys.exit(main())
