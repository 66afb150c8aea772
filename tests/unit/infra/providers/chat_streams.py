"""What public servers of the chat completions format send, shaped as each of them shapes it, and what it means."""

from pathlib import Path
from typing import Final

import msgspec

from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.events import (
    Completed,
    Failed,
    Finish,
    FunctionCall,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    ToolDone,
    ToolName,
    ToolStart,
    Usage,
)
from infra.providers.settings import Flavour, ThinkTags

_FOLDER: Final = Path(__file__).parents[3] / "golden" / "openai_chat"


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """`think_tags` as the operator set them; by default those of the flavour."""

    flavour: Flavour
    file: str
    events: list[ProviderEvent]
    think_tags: ThinkTags | None = None

    @property
    def stream(self) -> bytes:
        return (_FOLDER / self.file).read_bytes()


OFFERED: Final = "get_weather"


def _call(arguments: str, index: int = 0) -> list[ProviderEvent]:
    key = f"call_{index}"
    return [
        ToolStart(key, ToolName.FUNCTION_CALL, {"index": index, "call_id": key, "name": OFFERED}),
        ToolDone(key, ToolName.FUNCTION_CALL, {"call_id": key, "name": OFFERED, "arguments": arguments}),
        FunctionCall(key=key, name=OFFERED, arguments=arguments),
    ]


_OPENAI_TEXT = Recorded(
    flavour=Flavour.OPENAI,
    file="openai_text.sse",
    events=[
        TextDelta("Grüße, 世界 😀"),
        Completed(
            finish=Finish.STOP,
            usage=Usage(input_tokens=1117, output_tokens=46, cache_read_tokens=1024, reasoning_tokens=32),
            remote_id="chatcmpl-C1",
            remote_model="gpt-5-mini-2025-08-07",
        ),
    ],
)

_OPENAI_CALLS = Recorded(
    flavour=Flavour.OPENAI,
    file="openai_calls.sse",
    events=[
        *_call('{"city":"Paris"}'),
        Completed(
            finish=Finish.STOP,
            usage=Usage(input_tokens=61, output_tokens=19),
            remote_id="chatcmpl-C2",
            remote_model="gpt-5",
        ),
    ],
)

_AZURE_FILTERED = Recorded(
    flavour=Flavour.AZURE,
    file="azure_filtered.sse",
    events=[
        TextDelta("First you take"),
        Completed(
            finish=Finish.CONTENT_FILTER,
            usage=Usage(input_tokens=18, output_tokens=3, cache_read_tokens=0, reasoning_tokens=0),
            remote_id="chatcmpl-A1",
            remote_model="gpt-4o-2024-11-20",
        ),
    ],
)

_VLLM_REASONING = Recorded(
    flavour=Flavour.VLLM,
    file="vllm_reasoning.sse",
    events=[
        ReasoningDelta("They want weather."),
        TextDelta("One <think> moment."),
        *_call('{"city": "Paris"}'),
        Completed(
            finish=Finish.STOP,
            usage=Usage(input_tokens=171, output_tokens=48),
            remote_id="chatcmpl-9f2b",
            remote_model="Qwen/Qwen3-8B",
        ),
    ],
)

_OLLAMA_THINKING = Recorded(
    flavour=Flavour.OLLAMA,
    file="ollama_thinking.sse",
    events=[
        ReasoningDelta("\nA greeting.\n"),
        TextDelta("Hello!"),
        Completed(
            finish=Finish.STOP,
            usage=Usage(input_tokens=6, output_tokens=21),
            remote_id="chatcmpl-373",
            remote_model="deepseek-r1:8b",
        ),
    ],
)

_OLLAMA_CALLS = Recorded(
    flavour=Flavour.OLLAMA,
    file="ollama_calls.sse",
    events=[
        _call('{"city":"Paris"}')[0],
        _call("", 1)[0],
        *_call('{"city":"Paris"}')[1:],
        *_call('{"city":"Rome"}', 1)[1:],
        Completed(finish=Finish.STOP, remote_id="chatcmpl-374", remote_model="llama3.2"),
    ],
)

_LITELLM_TEXT = Recorded(
    flavour=Flavour.LITELLM,
    file="litellm_text.sse",
    events=[
        TextDelta("The quick"),
        Completed(
            finish=Finish.LENGTH,
            usage=Usage(input_tokens=8, output_tokens=10, reasoning_tokens=0),
            remote_id="chatcmpl-4ed202cc",
            remote_model="canned",
        ),
    ],
)

_GENERIC_PREOPENED = Recorded(
    flavour=Flavour.GENERIC,
    think_tags=ThinkTags.PREOPENED,
    file="generic_preopened.sse",
    events=[
        ReasoningDelta("Hm."),
        TextDelta("Yes."),
        Completed(finish=Finish.STOP, usage=Usage(input_tokens=3, output_tokens=4)),
    ],
)

_GENERIC_ANYWHERE = Recorded(
    flavour=Flavour.GENERIC,
    think_tags=ThinkTags.ANYWHERE,
    file="generic_anywhere.sse",
    events=[
        TextDelta("First, "),
        ReasoningDelta("what now?"),
        TextDelta("then <thinking> again."),
        Completed(finish=Finish.LENGTH, remote_id="gen-17", remote_model="org/reasoner:free"),
    ],
)

_VLLM_FAILS = Recorded(
    flavour=Flavour.VLLM,
    file="vllm_fails.sse",
    events=[
        TextDelta("Once upon"),
        Failed(failure=ProviderFailure(kind=FailureKind.SERVER_ERROR, detail="status 500 InternalServerError")),
    ],
)

_VLLM_FAILED_FLAT = Recorded(
    flavour=Flavour.VLLM,
    file="vllm_failed_flat.sse",
    events=[
        Failed(failure=ProviderFailure(kind=FailureKind.CONTEXT_LENGTH, detail="status 400 BadRequestError")),
    ],
)

_LITELLM_THROTTLES = Recorded(
    flavour=Flavour.LITELLM,
    file="litellm_throttles.sse",
    events=[
        TextDelta("The"),
        Failed(failure=ProviderFailure(kind=FailureKind.RATE_LIMITED, detail="status 429 throttling_error")),
    ],
)

RECORDED: Final = {
    "OpenAI says something": _OPENAI_TEXT,
    "OpenAI calls functions": _OPENAI_CALLS,
    "Azure filters an answer": _AZURE_FILTERED,
    "vLLM thinks, speaks and calls": _VLLM_REASONING,
    "Ollama thinks in tags": _OLLAMA_THINKING,
    "Ollama gives every call one index": _OLLAMA_CALLS,
    "LiteLLM counts in a chunk of its own": _LITELLM_TEXT,
    "a template opened the thinking": _GENERIC_PREOPENED,
    "a model thinks in between": _GENERIC_ANYWHERE,
    "vLLM fails in the middle": _VLLM_FAILS,
    "an older vLLM refuses in the stream": _VLLM_FAILED_FLAT,
    "LiteLLM passes a refusal on": _LITELLM_THROTTLES,
}
