"""A provider request to the POST of a response."""

import msgspec

from domain.providers.capabilities import Capabilities
from domain.providers.request import AssistantText, Item, ProviderRequest, RequestTool
from infra.providers.adapter import HttpCall
from infra.providers.adapters.openai_responses.tools import results_of, tool_name, wire_tool
from infra.providers.adapters.openai_responses.translator import ResponsesTranslator
from infra.providers.anomalies import Anomalies
from infra.providers.call_headers import CallHeaders
from infra.providers.endpoint import Endpoint, usual_path
from infra.providers.extra_body import with_extras
from infra.providers.settings import ProviderSettings, UserField

_PARAMS = ("temperature", "top_p")
_NEVER_EXTRA = {"previous_response_id", "instructions", "max_tool_calls", "tools", "temperature", "top_p", "reasoning"}


class OpenAiResponses:
    """Fills `Adapter` for OpenAI, Azure OpenAI and every server that speaks the same protocol."""

    def __init__(self, settings: ProviderSettings, headers: CallHeaders) -> None:
        self.capabilities = Capabilities(
            file_search=True,
            file_search_filters=settings.file_search_filters,
            web_search=True,
            code_interpreter=True,
            function_tools=True,
            reasoning=True,
        )
        self._settings = settings
        self._headers = headers
        path = settings.responses_path
        path = usual_path(settings, "responses") if path is None else path
        self._endpoint = Endpoint(settings, path)
        self._user_field = settings.user_field or UserField.SAFETY_IDENTIFIER

    def encode(self, request: ProviderRequest) -> HttpCall:
        return HttpCall(
            url=self._endpoint.of(request.model),
            headers=self._headers.of(request),
            body=msgspec.json.encode(self._body(request)),
        )

    def translator(self, request: ProviderRequest, anomalies: Anomalies) -> ResponsesTranslator:
        return ResponsesTranslator(request, anomalies)

    def _body(self, request: ProviderRequest) -> dict[str, object]:
        body: dict[str, object] = {
            "model": request.model,
            "stream": True,
            "store": False,
            "input": [self._message(item) for item in request.items],
            "max_output_tokens": request.max_output_tokens,
        }
        if request.instructions:
            body["instructions"] = request.instructions
        if request.max_tool_calls is not None:
            body["max_tool_calls"] = request.max_tool_calls
        if request.tools:
            body["tools"] = [wire_tool(tool) for tool in request.tools]
        if request.pseudonyms and self._user_field is not UserField.NONE:
            body[self._user_field.value] = request.pseudonyms.user
        replaceable = self._include(request.tools) | {"metadata": _metadata(request)}
        return with_extras(
            body | _params(request), replaceable | self._settings.extra_body, request.params, _NEVER_EXTRA
        )

    def _message(self, item: Item) -> dict[str, object]:
        if not isinstance(item, AssistantText):
            return _message("user", [{"type": "input_text", "text": item.text}])
        if self._settings.assistant_as_string:
            return _message("assistant", item.text)
        return _message("assistant", [{"type": "output_text", "text": item.text}])

    def _include(self, tools: tuple[RequestTool, ...]) -> dict[str, object]:
        results = results_of(tools) if self._settings.tool_results else []
        return {"include": results} if results else {}


def _message(role: str, content: object) -> dict[str, object]:
    return {"type": "message", "role": role, "content": content}


def _metadata(request: ProviderRequest) -> dict[str, object]:
    """For the remote's own dashboards: pseudonyms, and what kind of call it was."""
    who = {} if request.pseudonyms is None else msgspec.structs.asdict(request.pseudonyms)
    return {**who, "request_type": request.purpose.value, "feature": "+".join(map(tool_name, request.tools)) or "none"}


def _params(request: ProviderRequest) -> dict[str, object]:
    params = {name: request.params[name] for name in _PARAMS if name in request.params}
    effort = request.params.get("reasoning_effort")
    return params if effort is None else {**params, "reasoning": {"effort": effort}}
