"""What a provider can do to a call: as the name of a scripted model, and as each format has it on the wire."""

from collections.abc import Mapping
from typing import Final

from infra.providers.settings import ProviderKind
from tests.harness.upstream import DONE, Action, Reply, finish, refusal, sse, text, usage
from tests.upstreams import anthropic
from tests.upstreams.inference_http import done, failed, token
from tests.upstreams.openai_responses import Answering

MODELS: Final = {
    "answers": "mock-len3",
    "answers slowly": "mock-len3-itl30",
    "never begins": "mock-hang0",
    "begins late": "mock-ttft5000",
    "falls silent": "mock-len3-itl1-hang2",
    "fails": "mock-fail0",
    "fails halfway": "mock-len3-itl1-fail2",
    "breaks off": "mock-len3-itl1-fail2-aseof",
    "throttles": "mock-fail0-asrate",
    "is overloaded": "mock-fail0-asoverload",
    "refuses the key": "mock-fail0-asauth",
    "cannot fit the prompt": "mock-fail0-ascontext",
    "times out itself": "mock-fail0-astimeout",
    "withholds": "mock-len3-fail1-asfilter",
    "reaches the limit": "mock-len9",
}
_REFUSALS: Final = {
    "fails": refusal(500, {}),
    "throttles": refusal(429, {}, Retry_After="2"),
    "is overloaded": refusal(503, {}),
    "refuses the key": refusal(401, {}),
    "cannot fit the prompt": refusal(400, {"error": {"code": "context_length_exceeded"}}),
    "times out itself": refusal(504, {}),
}
_SILENCES: Final = {"never begins": sse(Action.HANG), "begins late": sse(5.0)}
_OPENAI_CHAT: Final = {
    "answers": sse(text("a "), text("b "), text("c"), finish(), usage(4, 3), DONE),
    "answers slowly": sse(text("a "), 0.03, text("b "), 0.03, text("c"), finish(), usage(4, 3), DONE),
    "falls silent": sse(text("a "), text("b"), Action.HANG),
    "fails halfway": sse(text("a "), text("b"), b'data: {"error":{"code":500}}\n\n'),
    "breaks off": sse(text("a "), text("b"), 0.01, Action.RESET),
    "withholds": sse(text("a"), finish("content_filter"), usage(4, 1), DONE),
    "reaches the limit": sse(text("a"), finish("length"), usage(4, 1), DONE),
}
_INFERENCE_HTTP: Final = {
    "answers": sse(token("a "), token("b "), token("c"), done()),
    "answers slowly": sse(token("a "), 0.03, token("b "), 0.03, token("c"), done()),
    "falls silent": sse(token("a "), token("b"), Action.HANG),
    "fails halfway": sse(token("a "), token("b"), failed("out of memory")),
    "breaks off": sse(token("a "), token("b"), 0.01, Action.RESET),
    "withholds": sse(token("a"), failed({"code": "content_filter"})),
    "reaches the limit": sse(*[token("a")] * 5, done()),
}
_RESPONSES: Final = Answering()
_LETTERS: Final = [_RESPONSES.begin(), *map(_RESPONSES.delta, ("a ", "b "))]
_C: Final = _RESPONSES.delta("c")
_OPENAI_RESPONSES: Final = {
    "answers": sse(*_LETTERS, _C, _RESPONSES.complete(4, 3)),
    "answers slowly": sse(*_LETTERS[:2], 0.03, _LETTERS[2], 0.03, _C, _RESPONSES.complete(4, 3)),
    "falls silent": sse(*_LETTERS, Action.HANG),
    "fails halfway": sse(*_LETTERS, _RESPONSES.fail("server_error")),
    "breaks off": sse(*_LETTERS, 0.01, Action.RESET),
    "withholds": sse(*_LETTERS, _RESPONSES.incomplete("content_filter")),
    "reaches the limit": sse(*_LETTERS, _RESPONSES.incomplete("max_output_tokens")),
}


def _stopped(reason: str) -> bytes:
    answer = anthropic.message(stop_reason=reason)
    return anthropic.closed() + anthropic.ended(answer) + anthropic.stopped()


_BLOCK: Final = [anthropic.begin(anthropic.message()), anthropic.opened(anthropic.text(""))]
_SAID: Final = [*_BLOCK, *map(anthropic.said, ("a ", "b "))]
_END: Final = anthropic.said("c") + _stopped("end_turn")
_ANTHROPIC: Final = {
    "answers": sse(*_SAID, _END),
    "answers slowly": sse(*_SAID[:3], 0.03, _SAID[3], 0.03, _END),
    "falls silent": sse(*_SAID, Action.HANG),
    "fails halfway": sse(*_SAID, anthropic.failed("api_error")),
    "breaks off": sse(*_SAID, 0.01, Action.RESET),
    "withholds": sse(*_SAID[:3], _stopped("refusal")),
    "reaches the limit": sse(*_SAID[:3], _stopped("max_tokens")),
}
REPLIES: Final[Mapping[ProviderKind, Mapping[str, Reply]]] = {
    kind: {**_REFUSALS, **_SILENCES, **answers}
    for kind, answers in {
        ProviderKind.OPENAI_CHAT: _OPENAI_CHAT,
        ProviderKind.INFERENCE_HTTP: _INFERENCE_HTTP,
        ProviderKind.OPENAI_RESPONSES: _OPENAI_RESPONSES,
        ProviderKind.ANTHROPIC: _ANTHROPIC,
    }.items()
}
"""Asked for at most five tokens, the answer of `reaches the limit` stops there."""

UNCOUNTED: Final = {ProviderKind.INFERENCE_HTTP}
"""Formats that know no usage."""
