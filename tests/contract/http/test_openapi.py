import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import msgspec
import pytest
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from api.odata.lists import parsed_order, parsed_selection
from api.odata.parser import parsed_filter
from api.rest import json_guard
from api.rest.codes import CODES
from api.rest.endpoint import declared_by
from api.rest.openapi import openapi_document
from api.rest.openapi_examples import ANSWERS, EVENT_STREAM, REQUESTS
from tests.harness.assembled import assembled_framework
from tests.harness.bridge import request

OWN_PAGES = {"/docs", "/docs/start.js", "/docs/{asset}", "/openapi.json"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Litestar:
    return assembled_framework(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def document(app: Litestar) -> dict[str, Any]:
    encoded = msgspec.json.encode(openapi_document(app.routes, version="1"))
    decoded: dict[str, Any] = msgspec.json.decode(encoded)
    return decoded


def handlers_of(app: Litestar) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    for route in app.routes:
        assert isinstance(route, HTTPRoute)
        for handler in route.route_handlers:
            for method in handler.http_methods - {"OPTIONS"}:
                yield route.path_format, method.lower(), handler


def operations_of(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def test_routes_and_document_agree_both_ways(app: Litestar, document: dict[str, Any]) -> None:
    served = {(path, method) for path, method, _ in handlers_of(app) if path not in OWN_PAGES}
    assert served == {(path, method) for path, method, _ in operations_of(document)}


def test_operations_have_the_documented_ids(document: dict[str, Any]) -> None:
    found = {
        f"{method.upper()} {path.removeprefix('/mini-chat')}": operation["operationId"].removeprefix("mini_chat.")
        for path, method, operation in operations_of(document)
        if "operationId" in operation
    }
    assert found == {
        "POST /v1/chats": "create_chat",
        "GET /v1/chats": "list_chats",
        "GET /v1/chats/{chat_id}": "get_chat",
        "PATCH /v1/chats/{chat_id}": "update_chat",
        "DELETE /v1/chats/{chat_id}": "delete_chat",
        "POST /v1/chats/{chat_id}/restore": "restore_chat",
        "POST /v1/chats/{chat_id}/generate-title": "generate_title",
        "GET /v1/chats/{chat_id}/messages": "list_messages",
        "POST /v1/chats/{chat_id}/messages": "send_message",
        "POST /v1/chats/{chat_id}/messages:stream": "stream_message",
        "POST /v1/chats:stream": "create_chat_and_stream",
        "POST /v1/chats:send": "create_chat_and_send",
        "GET /v1/chats/{chat_id}/turns/{request_id}": "get_turn",
        "PATCH /v1/chats/{chat_id}/turns/{request_id}": "edit_turn",
        "DELETE /v1/chats/{chat_id}/turns/{request_id}": "delete_turn",
        "POST /v1/chats/{chat_id}/turns/{request_id}/retry": "retry_turn",
        "GET /v1/chats/{chat_id}/turns/{request_id}/events": "turn_events",
        "POST /v1/chats/{chat_id}/turns/{request_id}/cancel": "cancel_turn",
        "GET /v1/models": "list_models",
        "GET /v1/models/{model_id}": "get_model",
        "GET /v1/quota/status": "get_quota_status",
        "GET /v1/usage": "list_usage",
        "GET /v1/me": "get_me",
        "GET /v1/admin/turns": "list_live_turns",
        "POST /v1/admin/turns/{turn_id}/abort": "abort_turn",
        "GET /v1/admin/models": "list_catalogue",
        "POST /v1/admin/models:reload": "reload_catalogue",
        "PATCH /v1/admin/models/{model_id}": "change_catalogue_entry",
        "GET /v1/admin/jobs": "list_dead_jobs",
        "GET /v1/admin/jobs/queues": "list_queues",
        "POST /v1/admin/jobs/queues/{queue}/redrive": "redrive_queue",
        "POST /v1/admin/jobs/{job_id}/redrive": "redrive_job",
        "GET /v1/admin/quotas/tenants/{tenant_id}": "get_tenant_quotas",
        "PUT /v1/admin/quotas/tenants/{tenant_id}": "set_tenant_quotas",
        "GET /v1/admin/quotas/tenants/{tenant_id}/users/{user_id}": "get_user_quotas",
        "PUT /v1/admin/quotas/tenants/{tenant_id}/users/{user_id}": "set_user_quotas",
        "GET /v1/admin/usage": "sum_usage",
        "GET /v1/admin/kill-switches": "list_kill_switches",
        "PUT /v1/admin/kill-switches": "set_kill_switch",
        "DELETE /v1/admin/kill-switches/{switch_id}": "clear_kill_switch",
    }


def test_every_operation_tells_its_success_and_who_may_call_it(document: dict[str, Any]) -> None:
    for path, _, operation in operations_of(document):
        assert any(status.startswith("2") for status in operation["responses"]), path
        assert operation["summary"]
        assert ("/v1/" in path) == (operation.get("security") == [{"bearer": []}])
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_every_operation_under_v1_tells_the_refusals_it_declares(app: Litestar, document: dict[str, Any]) -> None:
    common = {"invalid_request", "unauthorized", "forbidden", "feature_not_licensed", "internal_error"}
    for path, method, handler in handlers_of(app):
        declared = declared_by(handler)
        if declared is not None:
            told = set(problems_of(document["paths"][path][method]))
            assert common | {refusal.code for refusal in declared.refusals} <= told, path


def problems_of(operation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Examples by code."""
    return {
        code: {"at": status, **example["value"]}
        for status, response in operation["responses"].items()
        for code, example in response.get("content", {}).get("application/problem+json", {}).get("examples", {}).items()
    }


def test_every_problem_is_an_example_of_the_schema_under_its_status(document: dict[str, Any]) -> None:
    validator = validator_for(document, "#/components/schemas/Problem")
    for _, _, operation in operations_of(document):
        for code, example in problems_of(operation).items():
            assert int(example.pop("at")) == example["status"] == CODES[code].status
            validator.validate(example)


def test_every_code_is_in_the_schema(document: dict[str, Any]) -> None:
    assert set(document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]) == set(CODES)


def test_every_request_and_answer_has_an_example_that_fits(app: Litestar, document: dict[str, Any]) -> None:
    for path, method, handler in handlers_of(app):
        if declared_by(handler) is None:
            continue
        operation = document["paths"][path][method]
        bodies = [operation["requestBody"]] if "requestBody" in operation else []
        bodies += [response for status, response in operation["responses"].items() if status.startswith("2")]
        for body in bodies:
            for media_type, content in body.get("content", {}).items():
                if media_type == "application/json":
                    validator_for(document, content["schema"]["$ref"]).validate(content["example"])


def test_example_requests_are_what_the_handlers_take(app: Litestar) -> None:
    taking = {h.operation_id: h.parsed_data_field.annotation for _, _, h in handlers_of(app) if h.parsed_data_field}
    assert set(taking) == set(REQUESTS)
    for operation_id, annotation in taking.items():
        json_guard.decode(msgspec.json.encode(REQUESTS[str(operation_id)]), annotation)


def test_no_example_belongs_to_an_operation_that_does_not_exist(app: Litestar) -> None:
    assert set(ANSWERS) | set(REQUESTS) <= {handler.operation_id for _, _, handler in handlers_of(app)}


def test_streams_show_a_whole_stream(document: dict[str, Any]) -> None:
    streaming = [
        operation["operationId"]
        for _, _, operation in operations_of(document)
        if "text/event-stream" in operation["responses"].get("200", {}).get("content", {})
    ]
    assert set(streaming) == {
        "mini_chat.stream_message",
        "mini_chat.create_chat_and_stream",
        "mini_chat.retry_turn",
        "mini_chat.edit_turn",
        "mini_chat.turn_events",
    }
    frames = EVENT_STREAM.split("\n\n")
    assert frames.pop() == ""
    assert [re.fullmatch(r"id: (\d+)\nevent: (\w+)\ndata: (\{.*\})", frame) is not None for frame in frames] == [
        True
    ] * 7


def test_every_protected_route_tells_its_limits_and_when_to_come_back(document: dict[str, Any]) -> None:
    for operations in document["paths"].values():
        for operation in operations.values():
            if "security" in operation:
                success = next(
                    operation["responses"][status]
                    for status in ("200", "201", "204")
                    if status in operation["responses"]
                )
                assert (
                    set(success["headers"])
                    == {"RateLimit-Policy", "RateLimit"}
                    <= set(document["components"]["headers"])
                )
                assert (
                    "rate_limited" in operation["responses"]["429"]["content"]["application/problem+json"]["examples"]
                )
                assert "Retry-After" in operation["responses"]["429"]["headers"]


def test_references_lead_somewhere(document: dict[str, Any]) -> None:
    named = set(re.findall(r'"#/components/schemas/([^"]+)"', msgspec.json.encode(document).decode()))
    assert named == set(document["components"]["schemas"])


async def test_the_document_is_served_without_a_credential(app: Litestar) -> None:
    answer = await request(app, "GET", "/openapi.json")
    assert (answer.status, answer.header("Content-Type")) == (200, "application/json")
    assert answer.json()["openapi"] == "3.1.0"


def test_no_internals_are_told(document: dict[str, Any]) -> None:
    """But for the caller's own ids, where it asks for them, and for what administrators see (api.md 1.2)."""
    paths = {
        path: item for path, item in document["paths"].items() if "/admin/" not in path and not path.endswith("/v1/me")
    }
    told_to_users = seen_from(paths, document)
    for word in ("provider_id", "provider_model_id", "tenant"):
        assert word not in told_to_users.replace("tenant_not_found", ""), word
    told = msgspec.json.encode(document).decode()
    for word in ("postgres", "engine.md", "api.md", "architecture"):
        assert word not in told, word


def seen_from(part: Any, document: dict[str, Any]) -> str:
    """The part of the document and all it refers to, as text."""
    text, before = msgspec.json.encode(part).decode(), ""
    while text != before:
        before = text
        named = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
        schemas = {name: document["components"]["schemas"][name] for name in sorted(named)}
        text = msgspec.json.encode([part, schemas]).decode()
    return text


def validator_for(document: dict[str, Any], reference: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator({"$ref": reference, "components": document["components"]})


def test_following_a_turn_tells_from_where_and_that_nothing_may_follow(document: dict[str, Any]) -> None:
    operation = document["paths"]["/mini-chat/v1/chats/{chat_id}/turns/{request_id}/events"]["get"]
    assert [(each["in"], each["name"]) for each in operation["parameters"]] == [
        ("path", "chat_id"),
        ("path", "request_id"),
        ("header", "Last-Event-ID"),
        ("query", "after"),
    ]
    assert {"200", "204", "429"} <= set(operation["responses"])


def test_every_option_of_a_list_is_told_and_the_examples_work(app: Litestar, document: dict[str, Any]) -> None:
    declared = [(path, found.lists) for path, _, handler in handlers_of(app) if (found := declared_by(handler))]
    specs = {path: spec for path, spec in declared if spec is not None}
    assert {"/mini-chat/v1/chats", "/mini-chat/v1/chats/{chat_id}/messages"} <= set(specs)
    for path, spec in specs.items():
        told = {each["name"]: each for each in document["paths"][path]["get"]["parameters"] if each["in"] == "query"}
        own = [option.name for option in spec.own.options]
        assert list(told) == ["limit", "$top", "cursor", "$filter", "$orderby", "$select", "$count", *own]
        assert all(each["description"] and each["schema"] for each in told.values())
        parsed_filter(told["$filter"]["example"], spec.shape)
        assert parsed_order(told["$orderby"]["schema"]["default"], spec.shape) == spec.shape.default_order
        assert parsed_selection(told["$select"]["example"], spec.members, spec.always)
        for field in spec.shape.fields:
            assert f"`{field.name}` ({field.kind.value}" in told["$filter"]["description"]
        for member in spec.members:
            assert f"`{member}`" in told["$select"]["description"]
