"""The application as `mini-chat serve` puts it together, over a database that cannot be reached.

Good for everything that is decided before a database is asked, on every route that exists.
"""

from datetime import timedelta
from pathlib import Path

from litestar import Litestar
from litestar.types import ASGIApp

from app.authentication import dev_secret
from app.bootstrap import build
from app.http_app import create_framework_app, create_http_app
from app.runtime import Runtime
from app.settings import HttpSettings, Settings
from domain.auth.policy import Role
from domain.clock import SystemClock
from infra.auth.dev import DEV_TENANT, DEV_USER, issue_dev_token
from tests.harness.processes import free_port

MAX_BODY_BYTES = 64 * 1024


def assembled_app(folder: Path, body_idle_timeout: timedelta = timedelta(seconds=30)) -> ASGIApp:
    """Asks for no credential, as the dev mode does."""
    runtime = _runtime(folder, body_idle_timeout)
    return create_http_app(runtime.rest, clock=runtime.clock)


def assembled_framework(folder: Path) -> Litestar:
    return create_framework_app(_runtime(folder).rest, gateway_prefix="", url_prefix="/mini-chat")


def admin_token(folder: Path) -> str:
    """Lets the assembled application's development user administer as well."""
    return issue_dev_token(
        dev_secret(folder),
        tenant=DEV_TENANT,
        user=DEV_USER,
        roles=[role.value for role in Role],
        ttl=timedelta(hours=1),
        now=SystemClock().now(),
    )


def _runtime(folder: Path, body_idle_timeout: timedelta = timedelta(seconds=30)) -> Runtime:
    http = HttpSettings(max_body_bytes=MAX_BODY_BYTES, body_idle_timeout=body_idle_timeout)
    address = f"postgresql://nobody@127.0.0.1:{free_port()}/nowhere"
    return build(Settings(data_dir=folder, http=http), address, {})
