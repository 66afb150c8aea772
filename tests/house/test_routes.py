"""The shape of every route: a new one cannot forget what the others do."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from msgspec.structs import replace

from api.rest.endpoint import Endpoint, declared_by
from api.rest.gate import Gate
from domain.auth.policy import ADMINISTRATION, Action, Policy, Role
from domain.errors import FeatureNotLicensed
from domain.limits.rates import SENDING
from tests.harness.assembled import assembled_framework
from tests.harness.engine import a_user

WRITING = {
    Action.SET_QUOTAS,
    Action.CREATE_CHAT,
    Action.UPDATE_CHAT,
    Action.DELETE_CHAT,
    Action.RESTORE_CHAT,
    Action.GENERATE_TITLE,
    Action.SEND_MESSAGE,
    Action.CANCEL_TURN,
    Action.RETRY_TURN,
    Action.EDIT_TURN,
    Action.DELETE_TURN,
    Action.SET_SWITCH,
    Action.CHANGE_CATALOGUE,
    Action.ABORT_TURN,
    Action.REDRIVE_JOBS,
}
PUBLIC = {
    "/livez",
    "/readyz",
    "/problems",
    "/problems/{code}",
    "/docs",
    "/docs/start.js",
    "/docs/{asset}",
    "/openapi.json",
}


class Route:
    def __init__(self, path: str, handler: HTTPRouteHandler) -> None:
        self.path = path
        self.handler = handler


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> list[Route]:
    return list(_routes(tmp_path_factory.mktemp("data")))


def _routes(folder: Path) -> Iterator[Route]:
    for route in assembled_framework(folder).routes:
        assert isinstance(route, HTTPRoute)
        for handler in route.route_handlers:
            if handler.http_methods != {"OPTIONS"}:
                yield Route(route.path_format, handler)


def under_v1(routes: list[Route]) -> list[tuple[Route, Endpoint | None]]:
    found = [(route, declared_by(route.handler)) for route in routes if "/v1/" in route.path]
    assert found
    return found


def test_every_route_under_v1_declares_itself_and_stands_behind_the_gate(routes: list[Route]) -> None:
    for route, declared in under_v1(routes):
        assert declared is not None, route.path
        gates = [guard for guard in route.handler.resolve_guards() if _is_gate(guard)]
        assert len(gates) == 1, route.path


def _is_gate(guard: object) -> bool:
    return isinstance(getattr(guard, "func", guard), Gate)


def test_no_route_outside_v1_touches_what_belongs_to_somebody(routes: list[Route]) -> None:
    outside = {route.path for route in routes if "/v1/" not in route.path}
    assert outside == PUBLIC


def test_every_handler_names_its_status_and_none_leaves_the_loop(routes: list[Route]) -> None:
    for route in routes:
        assert route.handler.status_code in {200, 201, 204}, route.path
        assert not route.handler.has_sync_callable, route.path


def test_posts_create_only_where_an_object_gets_an_address(routes: list[Route]) -> None:
    created = {route.path for route in routes if route.handler.status_code == 201}
    assert created == {"/mini-chat/v1/chats"}


def test_reading_methods_read_and_writing_methods_write(routes: list[Route]) -> None:
    for route, declared in under_v1(routes):
        assert declared is not None
        assert ("GET" not in route.handler.http_methods) == (declared.action in WRITING), route.path


def test_what_spans_tenants_stands_under_admin_and_nothing_else_does(routes: list[Route]) -> None:
    for route, declared in under_v1(routes):
        assert declared is not None
        assert ("/v1/admin/" in route.path) == (declared.action in ADMINISTRATION), route.path


def test_sends_are_the_work_a_draining_process_refuses(routes: list[Route]) -> None:
    starting = {route.handler.operation_id for route, declared in under_v1(routes) if declared and declared.starts_work}
    assert starting == {
        "mini_chat.stream_message",
        "mini_chat.send_message",
        "mini_chat.create_chat_and_stream",
        "mini_chat.create_chat_and_send",
        "mini_chat.retry_turn",
        "mini_chat.edit_turn",
        "mini_chat.generate_title",
    }


def test_whatever_starts_a_turn_counts_as_a_send_and_nothing_else_does(routes: list[Route]) -> None:
    for route, declared in under_v1(routes):
        assert declared is not None
        assert (declared.action in SENDING) == declared.starts_work, route.path


def test_every_route_needs_the_licence_but_for_oneself_and_administration(routes: list[Route]) -> None:
    unlicensed = replace(a_user(), roles=frozenset(Role), features=frozenset())
    for route, declared in under_v1(routes):
        assert declared is not None
        if route.path.endswith("/v1/me") or "/v1/admin/" in route.path:
            Policy().require(unlicensed, declared.action)
        else:
            with pytest.raises(FeatureNotLicensed):
                Policy().require(unlicensed, declared.action)


def test_every_route_under_v1_belongs_to_the_document(routes: list[Route]) -> None:
    for route, _ in under_v1(routes):
        assert route.handler.resolve_include_in_schema(), route.path
        assert str(route.handler.operation_id).startswith("mini_chat."), route.path
