"""A provider request to the POST of a self-hosted model server that streams tokens."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from domain.providers.capabilities import Capabilities
from domain.providers.request import AssistantText, Item, ProviderRequest, WebSearch
from infra.providers.adapter import HttpCall
from infra.providers.adapters.inference_http.translator import TokenTranslator
from infra.providers.anomalies import Anomalies
from infra.providers.call_headers import CallHeaders
from infra.providers.settings import ProviderSettings

MAX_MESSAGES: Final = 500
MAX_MESSAGE_CHARS: Final = 8_000
MAX_TOTAL_CHARS: Final = 32_000
_BREAK: Final = "\n\n"
_MAX_TOKENS: Final = 4_096
_MAX_TEMPERATURE: Final = 2.0
_MAX_TOP_K: Final = 200
_TEMPLATE_TOKEN: Final = re.compile(r"<\|(?=[^\s<>|]{1,64}\|>)")

Message = dict[str, str]


class InferenceHttp:
    """Fills `Adapter` for a server that knows two roles and no tool but a web search of its own."""

    def __init__(self, settings: ProviderSettings, headers: CallHeaders) -> None:
        self.capabilities = Capabilities(
            web_search=settings.force_web_search,
            max_messages=MAX_MESSAGES,
            max_message_chars=MAX_MESSAGE_CHARS,
            max_total_chars=MAX_TOTAL_CHARS - len(_BREAK),
        )
        self._may_search = settings.force_web_search
        self._headers = headers
        self._url = settings.base_url.rstrip("/") + settings.generate_path

    def encode(self, request: ProviderRequest) -> HttpCall:
        return HttpCall(url=self._url, headers=self._headers.of(request), body=msgspec.json.encode(self._body(request)))

    def translator(self, request: ProviderRequest, anomalies: Anomalies) -> TokenTranslator:
        return TokenTranslator(_max_tokens(request), anomalies)

    def _body(self, request: ProviderRequest) -> dict[str, object]:
        body: dict[str, object] = {"messages": list(_messages(request))}
        temperature = _number(request.params, "temperature")
        if temperature is not None:
            body["temperature"] = min(max(temperature, 0.0), _MAX_TEMPERATURE)
        top_k = _number(request.params, "top_k")
        if top_k is not None:
            body["top_k"] = int(min(max(top_k, 0), _MAX_TOP_K))
        body["max_tokens"] = _max_tokens(request)
        if self._may_search and any(isinstance(tool, WebSearch) for tool in request.tools):
            body["force_web_search"] = True
        return body


def _max_tokens(request: ProviderRequest) -> int:
    return min(max(request.max_output_tokens, 1), _MAX_TOKENS)


def _number(params: Mapping[str, object], name: str) -> float | None:
    value = params.get(name)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _messages(request: ProviderRequest) -> Iterator[Message]:
    """There is no role for instructions, so the first thing a user says begins with them, or follows them."""
    instructions = request.instructions
    for item in request.items:
        message = _message(item)
        if instructions and message["role"] == "user":
            yield from _instructed(instructions, message)
            instructions = None
        else:
            yield message


def _instructed(instructions: str, message: Message) -> Iterator[Message]:
    """In one message where the server takes one of that length."""
    together = f"{instructions}{_BREAK}{message['content']}"
    if len(together) <= MAX_MESSAGE_CHARS:
        yield {"role": "user", "content": together}
        return
    for start in range(0, len(instructions), MAX_MESSAGE_CHARS):
        yield {"role": "user", "content": instructions[start : start + MAX_MESSAGE_CHARS]}
    yield message


def _message(item: Item) -> Message:
    role = "assistant" if isinstance(item, AssistantText) else "user"
    return {"role": role, "content": _without_template_tokens(item.text)}


def _without_template_tokens(text: str) -> str:
    """Such a server may hand text to its tokenizer as it is, where `<|…|>` could end the user's turn."""
    return _TEMPLATE_TOKEN.sub("\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}|", text)
