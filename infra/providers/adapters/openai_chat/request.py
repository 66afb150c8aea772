"""A provider request to the POST of a chat completion."""

from collections.abc import Iterator

import msgspec

from domain.providers.capabilities import Capabilities
from domain.providers.request import AssistantText, Function, Item, ProviderRequest
from infra.providers.adapter import HttpCall
from infra.providers.adapters.openai_chat.translator import ChatTranslator
from infra.providers.anomalies import Anomalies
from infra.providers.call_headers import CallHeaders
from infra.providers.endpoint import Endpoint, usual_path
from infra.providers.extra_body import with_extras
from infra.providers.settings import Flavour, ProviderSettings, SystemRole, ThinkTags, UserField

_PARAMS = ("temperature", "top_p", "frequency_penalty", "presence_penalty", "stop", "seed", "reasoning_effort")
_NEVER_EXTRA = {
    "model",
    "stream",
    "messages",
    "max_tokens",
    "max_completion_tokens",
    "tools",
    "n",
    "store",
    "metadata",
    "logprobs",
}
_OWN_CLOUD = {Flavour.OPENAI, Flavour.AZURE}
_USER_FIELD = {
    Flavour.OPENAI: UserField.SAFETY_IDENTIFIER,
    Flavour.AZURE: UserField.USER,
    Flavour.LITELLM: UserField.USER,
}

Message = dict[str, str]


class OpenAiChat:
    """Fills `Adapter` for OpenAI, Azure and every server that speaks the same protocol."""

    def __init__(self, settings: ProviderSettings, headers: CallHeaders) -> None:
        self.capabilities = Capabilities(function_tools=True, reasoning=True)
        self._settings = settings
        self._headers = headers
        self._own_cloud = settings.flavour in _OWN_CLOUD
        path = settings.chat_path
        path = usual_path(settings, "chat/completions") if path is None else path
        self._endpoint = Endpoint(settings, path)
        self._user_field = settings.user_field or _USER_FIELD.get(settings.flavour, UserField.NONE)

    def encode(self, request: ProviderRequest) -> HttpCall:
        return HttpCall(
            url=self._endpoint.of(request.model),
            headers=self._headers.of(request),
            body=msgspec.json.encode(self._body(request)),
        )

    def translator(self, request: ProviderRequest, anomalies: Anomalies) -> ChatTranslator:
        by_flavour = ThinkTags.OFF if self._own_cloud else ThinkTags.LEADING
        offered = frozenset(function.name for function in _functions(request))
        return ChatTranslator(self._settings.think_tags or by_flavour, offered, anomalies)

    def _body(self, request: ProviderRequest) -> dict[str, object]:
        body: dict[str, object] = {"model": request.model, "stream": True, "messages": list(self._messages(request))}
        if self._settings.usage_option:
            body["stream_options"] = {"include_usage": True}
        body[self._settings.max_tokens_field or self._max_tokens_field()] = request.max_output_tokens
        body |= {name: request.params[name] for name in _PARAMS if name in request.params}
        if request.pseudonyms and self._user_field is not UserField.NONE:
            body[self._user_field.value] = request.pseudonyms.user
        if tools := [_tool(function) for function in _functions(request)]:
            body["tools"] = tools
        return with_extras(body, self._settings.extra_body, request.params, _NEVER_EXTRA)

    def _max_tokens_field(self) -> str:
        return "max_completion_tokens" if self._own_cloud else "max_tokens"

    def _messages(self, request: ProviderRequest) -> Iterator[Message]:
        messages = [*_instructions(request.instructions, self._settings.system_role), *map(_message, request.items)]
        return iter(messages) if self._settings.allow_repeated_roles else _joined(messages)


def _functions(request: ProviderRequest) -> Iterator[Function]:
    """The only tools of this format: what a remote would run itself does not exist in it."""
    return (tool for tool in request.tools if isinstance(tool, Function))


def _tool(function: Function) -> dict[str, object]:
    members = {"name": function.name, "description": function.description, "parameters": function.schema}
    return {"type": "function", "function": members}


def _instructions(text: str | None, role: SystemRole) -> Iterator[Message]:
    if text:
        yield {"role": "user" if role is SystemRole.FOLD else role.value, "content": text}


def _message(item: Item) -> Message:
    return {"role": "assistant" if isinstance(item, AssistantText) else "user", "content": item.text}


def _joined(messages: list[Message]) -> Iterator[Message]:
    """Neighbours of one role become one message, because some chat templates insist on alternation."""
    waiting: Message | None = None
    for message in messages:
        if waiting is not None and waiting["role"] == message["role"]:
            waiting = {**waiting, "content": f"{waiting['content']}\n\n{message['content']}"}
            continue
        if waiting is not None:
            yield waiting
        waiting = message
    if waiting is not None:
        yield waiting
