"""The checks common to all routes under /v1, in the order of api.md 1.7.

Drain, credential, rate of calls, role and licence, declared body size, path ids: none reads the body or touches the
database.
"""

from typing import Any, Protocol, Self

import msgspec
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from api.rest.callers import Callers
from api.rest.endpoint import declared_by
from api.rest.refusals import Draining, MethodNotAllowed
from api.rest.request_body import BodyLimits, refuse_declared_size
from domain.auth.policy import Policy
from domain.errors import InvalidRequest
from domain.limits.rates import Rates
from domain.subject import Subject

Connection = ASGIConnection[Any, Any, Any, Any]


class Drain(Protocol):
    @property
    def draining(self) -> bool:
        """True from the moment the process was asked to stop."""
        ...


class Gate:
    """A guard of the framework: runs after routing and before anything else, raises what refuses."""

    def __init__(self, *, callers: Callers, rates: Rates, policy: Policy, drain: Drain, limits: BodyLimits) -> None:
        self._callers = callers
        self._rates = rates
        self._policy = policy
        self._drain = drain
        self._limits = limits

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """The framework copies routers deeply; a copy of the gate would watch a copy of the drain."""
        return self

    async def __call__(self, connection: Connection, handler: BaseRouteHandler) -> None:
        endpoint = declared_by(handler)
        if endpoint is None:
            raise LookupError(f"{handler} declares no endpoint")
        if endpoint.starts_work and self._drain.draining:
            raise Draining
        subject = await self._callers.identify(connection)
        await self._rates.count_call(subject, endpoint.action)
        self._policy.require(subject, endpoint.action)
        refuse_declared_size(connection.headers, self._limits)
        refuse_malformed_ids(connection, handler)
        connection.scope["user"] = subject


def subject_of(connection: Connection) -> Subject:
    """Whom the gate let in."""
    subject = connection.scope["user"]
    assert isinstance(subject, Subject)  # noqa: S101 - the gate put it there
    return subject


def refuse_malformed_ids(connection: Connection, handler: BaseRouteHandler) -> None:
    """Raises InvalidRequest naming the path parameter whose text is not what the handler takes."""
    parameters = handler.parsed_fn_signature.parameters
    for name, text in connection.path_params.items():
        try:
            # `annotation` has lost its constraints.
            msgspec.convert(text, parameters[name].raw, strict=False)
        except msgspec.ValidationError:
            raise InvalidRequest.of(name, "This is not a UUID.", "invalid_uuid") from None


async def refuse_undeclared_methods(connection: Connection, _: BaseRouteHandler) -> None:
    """The framework answers OPTIONS on every address; the contract knows declared methods only."""
    if connection.scope.get("method") != "OPTIONS":
        return
    template = connection.scope["path_template"]
    methods = next(route.methods for route in connection.app.routes if route.path_format == template)
    raise MethodNotAllowed(method for method in methods if method != "OPTIONS")
