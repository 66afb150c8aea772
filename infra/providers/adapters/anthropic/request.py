"""A provider request to the POST of a message."""

from collections.abc import Iterator, Mapping

import msgspec

from domain.providers.capabilities import Capabilities
from domain.providers.request import Function, ProviderRequest, WebSearch
from infra.providers.adapter import HttpCall
from infra.providers.adapters.anthropic.conversation import conversation
from infra.providers.adapters.anthropic.thinking import thinking_members
from infra.providers.adapters.anthropic.translator import MessagesTranslator
from infra.providers.anomalies import Anomalies
from infra.providers.call_headers import CallHeaders
from infra.providers.extra_body import with_extras
from infra.providers.settings import ProviderSettings, UserField

_NEVER_EXTRA = {"model", "stream", "max_tokens", "messages", "system", "tools", "metadata"}


class Anthropic:
    """Fills `Adapter` for the Messages API and every server that speaks the same protocol."""

    def __init__(self, settings: ProviderSettings, headers: CallHeaders) -> None:
        self.capabilities = Capabilities(web_search=True, function_tools=True, reasoning=True)
        self._settings = settings
        self._headers = headers
        self._own_headers = {"anthropic-version": settings.anthropic_version}
        if settings.anthropic_beta:
            self._own_headers["anthropic-beta"] = ",".join(settings.anthropic_beta)
        self._url = settings.base_url.rstrip("/").removesuffix("/v1") + "/v1/messages"

    def encode(self, request: ProviderRequest) -> HttpCall:
        return HttpCall(
            url=self._url,
            headers={**self._headers.of(request), **self._own_headers},
            body=msgspec.json.encode(self._body(request)),
        )

    def translator(self, request: ProviderRequest, anomalies: Anomalies) -> MessagesTranslator:
        return MessagesTranslator(request, anomalies)

    def _body(self, request: ProviderRequest) -> dict[str, object]:
        body: dict[str, object] = {
            "model": request.model,
            "stream": True,
            "max_tokens": request.max_output_tokens,
            "messages": conversation(request.items),
        }
        if request.instructions and request.instructions.strip():
            body["system"] = [self._system_block(request.instructions)]
        if tools := list(self._tools(request)):
            body["tools"] = tools
        body |= thinking_members(self._settings, request) or _sampling(request.params)
        if "stop" in request.params:
            body["stop_sequences"] = _texts(request.params["stop"])
        if request.pseudonyms and self._settings.user_field is not UserField.NONE:
            body["metadata"] = {"user_id": request.pseudonyms.user}
        return with_extras(body, self._settings.extra_body, request.params, _NEVER_EXTRA)

    def _system_block(self, text: str) -> dict[str, object]:
        block: dict[str, object] = {"type": "text", "text": text}
        return {**block, "cache_control": {"type": "ephemeral"}} if self._settings.prompt_cache else block

    def _tools(self, request: ProviderRequest) -> Iterator[dict[str, object]]:
        for tool in request.tools:
            if isinstance(tool, WebSearch):
                type_ = self._settings.web_search_tool_type
                yield {"type": type_, "name": "web_search", "max_uses": tool.max_uses}
            elif isinstance(tool, Function):
                yield {"name": tool.name, "description": tool.description, "input_schema": tool.schema}


def _sampling(params: Mapping[str, object]) -> dict[str, object]:
    """Thinking models take none of these, and hardly any model takes both of the first two."""
    names = ("temperature" if "temperature" in params else "top_p", "top_k")
    return {name: params[name] for name in names if name in params}


def _texts(stop: object) -> list[object]:
    return list(stop) if isinstance(stop, (list, tuple)) else [stop]
