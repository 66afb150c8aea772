"""The OpenAPI 3.1 document, read off the routes themselves: signatures, structs and declared refusals."""

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Response
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.routes.base import BaseRoute

from api.rest.codes import CODES, Code
from api.rest.endpoint import Endpoint, declared_by
from api.rest.openapi_examples import ANSWERS, EVENT_STREAM, REQUESTS
from api.rest.openapi_lists import list_parameters, option_parameters
from api.rest.problems import MEDIA_TYPE
from api.rest.refusals import NotOffered
from domain.errors import Fault, InvalidCursor
from domain.streaming.failures import KINDS

_REF = "#/components/schemas/{name}"
_ON_EVERY_V1_ROUTE = (
    "invalid_request",
    "unauthorized",
    "forbidden",
    "feature_not_licensed",
    "body_too_large",
    "rate_limited",
    "internal_error",
    "service_unavailable",
)
_WITH_BODY = ("request_timeout", "unsupported_content_type")
_ON_LISTS = ("invalid_cursor", "invalid_filter", "invalid_limit", "invalid_orderby", "not_implemented")
_RESUME_PARAMETERS: tuple[dict[str, Any], ...] = (
    {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "The number of the last event that was received; what follows it is sent.",
        "schema": {"type": "integer", "minimum": 0},
    },
    {
        "name": "after",
        "in": "query",
        "description": "The same, for clients that cannot set the header, which wins.",
        "schema": {"type": "integer", "minimum": 0, "default": 0},
    },
)
_HEADERS: Mapping[str, Any] = {
    "RateLimit-Policy": {
        "description": "The rate limits that apply to this route, as a structured field: `q` uses in `w` seconds.",
        "schema": {"type": "string"},
        "example": '"requests";q=6000;w=60',
    },
    "RateLimit": {
        "description": "What is left of them, and in how many seconds it grows.",
        "schema": {"type": "string"},
        "example": '"requests";r=5998;t=41',
    },
}
_SAYING_WHEN = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_RETRY_AFTER: Mapping[str, Any] = {
    "Retry-After": {
        "description": "In how many seconds another attempt may succeed, where that is known.",
        "schema": {"type": "integer", "minimum": 1},
    }
}
_EXAMPLE_PATH = "/mini-chat/v1/chats/0198c0de-79f0-7a01-9d00-1b2c3d4e5f60"
_EXAMPLE_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def openapi_document(routes: Iterable[BaseRoute], *, version: str) -> dict[str, Any]:
    handlers = list(_documented(routes))
    schemas = _schemas(handler for _, handler in handlers)
    paths: dict[str, dict[str, Any]] = {}
    for route, handler in handlers:
        for method in sorted(handler.http_methods):
            paths.setdefault(route.path_format, {})[method.lower()] = _operation(route, handler)
    return {
        "openapi": "3.1.0",
        "info": {"title": "mini-chat", "version": version, "license": {"name": "Apache-2.0"}},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Problem": _problem_schema()},
            "headers": _HEADERS,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _documented(routes: Iterable[BaseRoute]) -> Iterator[tuple[HTTPRoute, HTTPRouteHandler]]:
    for route in routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                if handler.resolve_include_in_schema():
                    yield route, handler


def _operation(route: HTTPRoute, handler: HTTPRouteHandler) -> dict[str, Any]:
    endpoint = declared_by(handler)
    operation: dict[str, Any] = {"summary": handler.summary, "tags": list(handler.resolve_tags())}
    if operation_id := _operation_id(handler):
        operation["operationId"] = operation_id
    if parameters := _parameters(route, handler, endpoint):
        operation["parameters"] = parameters
    if handler.parsed_data_field is not None:
        operation["requestBody"] = _request_body(handler)
    responses = {str(handler.status_code): _success(handler, endpoint) | _rate_limits(endpoint)}
    if endpoint is not None and endpoint.resumes:
        responses["204"] = {"description": "Nothing follows, now or ever."}
    if endpoint is not None:
        operation["security"] = [{"bearer": []}]
        responses |= _problems(_codes_of(handler, endpoint))
    return operation | {"responses": responses}


def _operation_id(handler: HTTPRouteHandler) -> str:
    return handler.operation_id if isinstance(handler.operation_id, str) else ""


def _parameters(route: HTTPRoute, handler: HTTPRouteHandler, endpoint: Endpoint | None) -> list[dict[str, Any]]:
    parameters = handler.parsed_fn_signature.parameters
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": msgspec.json.schema(parameters[name].raw)}
        for name in route.path_parameters
    ]
    if endpoint is None:
        return in_path
    return [
        *in_path,
        *(() if endpoint.lists is None else list_parameters(endpoint.lists)),
        *option_parameters(endpoint.options),
        *(_RESUME_PARAMETERS if endpoint.resumes else ()),
    ]


def _request_body(handler: HTTPRouteHandler) -> dict[str, Any]:
    field = handler.parsed_data_field
    content: dict[str, Any] = {"schema": _reference(field.annotation if field else Any)}
    if (example := REQUESTS.get(_operation_id(handler))) is not None:
        content["example"] = example
    return {"required": field is not None and field.is_required, "content": {"application/json": content}}


def _success(handler: HTTPRouteHandler, endpoint: Endpoint | None) -> dict[str, Any]:
    if endpoint is not None and endpoint.streams:
        content = {"text/event-stream": {"schema": {"type": "string"}, "example": EVENT_STREAM}}
        return {"description": "The events of the turn, ending with `done` or `error`.", "content": content}
    answer = _answer_type(handler)
    if answer is None:
        return {"description": "Done."}
    body: dict[str, Any] = {"schema": _reference(answer)}
    if (example := ANSWERS.get(_operation_id(handler))) is not None:
        body["example"] = example
    return {"description": "Done.", "content": {"application/json": body}}


def _rate_limits(endpoint: Endpoint | None) -> dict[str, Any]:
    if endpoint is None:
        return {}
    return {"headers": {name: {"$ref": f"#/components/headers/{name}"} for name in _HEADERS}}


def _answer_type(handler: HTTPRouteHandler) -> Any | None:
    """The struct a handler answers with; None for those that answer without a body or in a form of their own."""
    returned = handler.parsed_return_field
    if returned.is_subclass_of(Response) and returned.inner_types:
        returned = returned.inner_types[0]
    return returned.annotation if returned.is_subclass_of(msgspec.Struct) else None


def _codes_of(handler: HTTPRouteHandler, endpoint: Endpoint) -> set[str]:
    codes = {*_ON_EVERY_V1_ROUTE, *(refusal.code for refusal in endpoint.refusals)}
    if handler.parsed_data_field is not None:
        codes.update(_WITH_BODY)
    if endpoint.lists is not None:
        codes.update(_ON_LISTS)
    if InvalidCursor in endpoint.refusals:
        codes.add(NotOffered.code)
    if endpoint.turn_codes:
        codes.update(KINDS)
    return codes


def _problems(slugs: Iterable[str]) -> dict[str, Any]:
    by_status: dict[int, list[Code]] = {}
    for code in CODES.values():
        if code.code in slugs:
            by_status.setdefault(code.status, []).append(code)
    return {str(status): _problem_response(codes) for status, codes in by_status.items()}


def _problem_response(codes: list[Code]) -> dict[str, Any]:
    content = {
        "schema": {"$ref": _REF.format(name="Problem")},
        "examples": {code.code: {"value": _problem_example(code)} for code in codes},
    }
    described = {"description": " ".join(code.summary for code in codes), "content": {MEDIA_TYPE: content}}
    return described | ({"headers": _RETRY_AFTER} if any(code.status in _SAYING_WHEN for code in codes) else {})


def _problem_example(code: Code) -> dict[str, Any]:
    return {
        "type": f"/problems/{code.code}",
        "title": code.code,
        "status": code.status,
        "detail": code.summary,
        "instance": _EXAMPLE_PATH,
        "code": code.code,
        "trace_id": _EXAMPLE_TRACE,
    }


def _problem_schema() -> dict[str, Any]:
    text = {"type": "string"}
    members: dict[str, Any] = {
        "type": {"type": "string", "format": "uri-reference"},
        "title": text,
        "status": {"type": "integer"},
        "detail": text,
        "instance": {"type": "string", "format": "uri-reference"},
        "code": {"type": "string", "enum": sorted(CODES)},
        "trace_id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    }
    optional: dict[str, Any] = {
        "errors": {"type": "array", "items": {"$ref": _REF.format(name="Fault")}},
        "retry_after_ms": {"type": "integer"},
    }
    return {
        "type": "object",
        "description": "RFC 9457. `code` is the only member to branch on; further members depend on it.",
        "properties": members | optional,
        "required": list(members),
    }


def _schemas(handlers: Iterable[HTTPRouteHandler]) -> Mapping[str, Any]:
    types: list[Any] = [Fault]
    for handler in handlers:
        if handler.parsed_data_field is not None:
            types.append(handler.parsed_data_field.annotation)
        if (answer := _answer_type(handler)) is not None:
            types.append(answer)
    _, components = msgspec.json.schema_components(types, ref_template=_REF)
    # Docstrings speak to us, not to clients.
    return {name: _without(schema, "description") for name, schema in components.items()}


def _without(schema: Mapping[str, Any], member: str) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name != member}


def _reference(annotation: Any) -> Any:
    schema, _ = msgspec.json.schema_components([annotation], ref_template=_REF)
    return schema[0]
