"""The HTTP application: our routes inside the framework, the framework inside our edge."""

from importlib.metadata import version

from litestar import Litestar
from litestar.types import ASGIApp

from api.rest.edge import Edge, HostCheck, any_host
from api.rest.gate import refuse_undeclared_methods
from api.rest.problems import answer_problem
from api.rest.request_body import strict_request
from api.rest.routes import RestServices, create_routes
from domain.clock import Clock


def create_http_app(
    services: RestServices,
    *,
    clock: Clock,
    gateway_prefix: str = "",
    url_prefix: str = "/mini-chat",
    host_check: HostCheck = any_host,
) -> ASGIApp:
    """Ready to be served; opens nothing and needs no lifespan events."""
    return Edge(create_framework_app(services, gateway_prefix, url_prefix), clock=clock, host_check=host_check)


def create_framework_app(services: RestServices, gateway_prefix: str, url_prefix: str) -> Litestar:
    return Litestar(
        create_routes(services, gateway_prefix=gateway_prefix, url_prefix=url_prefix, version=version("mini-chat")),
        guards=[refuse_undeclared_methods],
        exception_handlers={Exception: answer_problem},
        request_class=strict_request(services.limits),
        request_max_body_size=services.limits.max_bytes,
        openapi_config=None,
        logging_config=None,
    )
