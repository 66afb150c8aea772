"""All addresses of the HTTP surface, and what their handlers get (api.md 1.1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from litestar import Controller, Request, Router
from litestar.di import Provide

from api.rest.callers import Callers, Caution
from api.rest.chats.controller import ChatController
from api.rest.cursor import Cursors
from api.rest.docs_page import create_docs_controller
from api.rest.gate import Drain, Gate, subject_of
from api.rest.health import Check, HealthController, Probes
from api.rest.me.controller import MeController
from api.rest.messages.controller import MessageController
from api.rest.models.controller import ModelController
from api.rest.problem_pages import ProblemPages
from api.rest.request_body import BodyLimits
from domain.auth.policy import Policy
from domain.auth.ports import TokenVerifier
from domain.catalogue.service import ModelService
from domain.chats.service import ChatService
from domain.limits.rates import Rates
from domain.messages.service import MessageService
from domain.subject import Subject


@dataclass(frozen=True, kw_only=True)
class RestServices:
    """`further_controllers` stand under /v1 like ours; their handlers find `further_dependencies` by name."""

    chats: ChatService
    messages: MessageService
    models: ModelService
    verifier: TokenVerifier
    policy: Policy
    rates: Rates
    cursors: Cursors
    drain: Drain
    checks: Mapping[str, Check]
    caution: Caution | None = None
    limits: BodyLimits = field(default_factory=BodyLimits)
    further_controllers: Sequence[type[Controller]] = ()
    further_dependencies: Mapping[str, object] = field(default_factory=dict)


def create_routes(
    services: RestServices, *, gateway_prefix: str, url_prefix: str, version: str
) -> list[Router | type[Controller]]:
    gate = Gate(
        callers=Callers(services.verifier, services.caution),
        rates=services.rates,
        policy=services.policy,
        drain=services.drain,
        limits=services.limits,
    )
    v1 = Router(
        f"{gateway_prefix}{url_prefix}/v1",
        route_handlers=[
            ChatController,
            MessageController,
            ModelController,
            MeController,
            *services.further_controllers,
        ],
        guards=[gate],
        dependencies=_dependencies(services),
    )
    health = Router(
        "/", route_handlers=[HealthController], dependencies={"probes": given(Probes(services.checks, services.drain))}
    )
    pages = [Router(prefix or "/", route_handlers=[ProblemPages]) for prefix in sorted({"", gateway_prefix})]
    return [v1, health, *pages, create_docs_controller(gateway_prefix, version)]


def given(value: Any) -> Provide:
    """A dependency that is always this object."""

    def provide() -> Any:
        return value

    return Provide(provide, sync_to_thread=False)


def _dependencies(services: RestServices) -> dict[str, Provide]:
    objects = {
        "chats": services.chats,
        "messages": services.messages,
        "models": services.models,
        "cursors": services.cursors,
        **services.further_dependencies,
    }
    return {"subject": Provide(_subject, sync_to_thread=False)} | {
        name: given(value) for name, value in objects.items()
    }


def _subject(request: Request[Any, Any, Any]) -> Subject:
    return subject_of(request)
