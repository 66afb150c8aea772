"""The HTTP surface over stores in memory: everything between the socket and the database is real."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from litestar import Controller

from api.rest.callers import Caution
from api.rest.cursor import CursorKeys, Cursors
from api.rest.edge import HostCheck, any_host
from api.rest.health import Check
from api.rest.request_body import BodyLimits
from api.rest.routes import RestServices
from api.rest.turns.status import TurnStatusController
from app.http_app import create_http_app
from domain.auth.policy import Policy
from domain.catalogue.models import ModelSpec, Tier
from domain.catalogue.service import ModelService
from domain.chats.service import ChatService
from domain.clock import SystemClock
from domain.errors import Unauthorized
from domain.ids import TenantId, UserId
from domain.limits.rates import Rates
from domain.messages.service import MessageService
from domain.subject import AuthMethod, Subject
from domain.turns.status import TurnStatuses
from tests.fakes.chats import stop_nothing
from tests.fakes.limits import unlimited
from tests.fakes.store import MemoryStore
from tests.harness.bridge import Answer, App, Body, request

CHATS = "/mini-chat/v1/chats"
MODELS = "/mini-chat/v1/models"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = {"traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-01"}
JSON = {"Content-Type": "application/json"}


def subject(
    tenant: int, user: int, *, roles: Sequence[str] = ("user",), features: Sequence[str] = ("ai_chat",)
) -> Subject:
    return Subject(
        tenant_id=TenantId(UUID(int=tenant)),
        user_id=UserId(UUID(int=user)),
        roles=frozenset(roles),
        features=frozenset(features),
        auth_method=AuthMethod.JWT,
    )


PEOPLE = {
    "ann": subject(1, 1),
    "bob": subject(1, 2),
    "eve": subject(2, 1),
    "viewer": subject(1, 3, roles=("viewer",)),
    "nobody": subject(1, 4, roles=()),
    "unlicensed": subject(1, 5, features=()),
}


class KnownPeople:
    """A token is the name of a person."""

    async def verify(self, token: str | None) -> Subject:
        if token not in PEOPLE:
            raise Unauthorized(presented=token is not None)
        return PEOPLE[token]


class Catalogue:
    version = 1

    def models(self) -> tuple[ModelSpec, ...]:
        return (
            ModelSpec(id="second", provider_id="p", provider_model_id="x", sort_order=2, description="Larger."),
            ModelSpec(
                id="first", provider_id="p", provider_model_id="y", sort_order=1, is_default=True, tier=Tier.PREMIUM
            ),
            ModelSpec(id="gone", provider_id="p", provider_model_id="z", enabled=False),
        )


@dataclass
class Switch:
    draining: bool = False


@dataclass
class World:
    store: MemoryStore
    app: App
    drain: Switch = field(default_factory=Switch)

    async def call(
        self,
        method: str,
        target: str,
        *,
        who: str | None = "ann",
        body: Body = b"",
        headers: Mapping[str, str | bytes] | None = None,
    ) -> Answer:
        """A call with a JSON body, if any, and a fixed trace."""
        credential = {} if who is None else {"Authorization": f"Bearer {who}"}
        media = JSON if body != b"" else {}
        return await request(self.app, method, target, {**TRACEPARENT, **credential, **media, **(headers or {})}, body)

    async def new_chat(self, *, who: str = "ann", body: bytes = b"{}") -> dict[str, Any]:
        answer = await self.call("POST", CHATS, who=who, body=body)
        assert answer.status == 201, answer.body
        chat: dict[str, Any] = answer.json()
        return chat


def create_world(
    *,
    gateway_prefix: str = "",
    checks: Mapping[str, Check] | None = None,
    further: Sequence[type[Controller]] = (),
    host_check: HostCheck = any_host,
    rates: Rates | None = None,
    caution: Caution | None = None,
) -> World:
    clock, policy, drain = SystemClock(), Policy(), Switch()
    store = MemoryStore(clock)
    services = RestServices(
        chats=ChatService(store, policy, Catalogue(), stop_nothing, clock),
        messages=MessageService(store, policy),
        models=ModelService(policy, Catalogue()),
        verifier=KnownPeople(),
        policy=policy,
        rates=rates or unlimited(),
        caution=caution,
        cursors=Cursors(CursorKeys(current=b"k" * 32)),
        drain=drain,
        checks=checks or {},
        limits=BodyLimits(max_bytes=64 * 1024),
        further_controllers=(TurnStatusController, *further),
        further_dependencies={"statuses": TurnStatuses(store, policy)},
    )
    app = create_http_app(services, clock=clock, gateway_prefix=gateway_prefix, host_check=host_check)
    return World(store=store, app=app, drain=drain)
