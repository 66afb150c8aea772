"""`mini-chat`: parse, call one function, print. An operator's mistake is a line on stderr and exit code 2."""

import os
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import NoReturn, ParamSpec, TypeVar

import click

from app.authentication import dev_secret
from app.config_layers import CONFIG_FILE_VARIABLE, Mistakes
from app.config_report import config_report
from app.settings import AuthMode, load_settings, read_settings
from domain.auth.policy import Role
from domain.clock import SystemClock
from domain.telemetry.ports import SilentTelemetry
from infra.auth.dev import issue_dev_token
from infra.auth.local_secret import SecretFileUnusable
from infra.telemetry.logs import configure_logs

DEV_TOKEN_LIFETIME = timedelta(days=30)

P = ParamSpec("P")
R = TypeVar("R")

_config = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar=CONFIG_FILE_VARIABLE,
    help="A TOML file with settings.",
)


def _refuse(*lines: str) -> NoReturn:
    for line in lines:
        click.echo(f"mini-chat: {line}", err=True)
    sys.exit(2)


def _tells_mistakes(command: Callable[P, R]) -> Callable[P, R]:
    @wraps(command)
    def told(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except Mistakes as mistakes:
            _refuse(*mistakes.lines)
        except SecretFileUnusable as fault:
            _refuse(str(fault))

    return told


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mini-chat", message="mini-chat %(version)s")
def main() -> None:
    """The multi-tenant AI chat backend that a SaaS team mounts behind its own product."""


@main.command()
@_config
@click.option("--host", help="The address to listen on.")
@click.option("--port", type=int, help="The port to listen on; 0 takes a free one.")
@click.option("--workers", type=int, help="How many processes answer.")
@_tells_mistakes
def serve(file: Path | None, host: str | None, port: int | None, workers: int | None) -> None:
    """Answer requests until told to stop. Without settings: on this machine only, with a database of its own."""
    settings = load_settings(file, os.environ, {"http.host": host, "http.port": port, "http.workers": workers})
    configure_logs(settings.logging.level)
    # Imported here and below: the small commands shall not wait for web framework and database.
    from app.serving import serve as run_server  # noqa: PLC0415 - see above

    sys.exit(run_server(settings))


@main.command()
@_config
@_tells_mistakes
def worker(file: Path | None) -> None:
    """Do jobs, and nothing else, until told to stop. Any number of workers may run at once."""
    settings = load_settings(file, os.environ, {})
    configure_logs(settings.logging.level)
    from app.working import work  # noqa: PLC0415 - see `serve`

    sys.exit(work(settings))


@main.command()
@_config
@_tells_mistakes
def migrate(file: Path | None) -> None:
    """Bring the database to the newest schema."""
    settings = load_settings(file, os.environ, {})
    configure_logs(settings.logging.level)
    from app.migrating import migrate as run_migrations  # noqa: PLC0415 - see `serve`

    run_migrations(settings)


@main.command()
@_config
@_tells_mistakes
def audit(file: Path | None) -> None:
    """Look whether the books are right: check, violations and a sample. The exit code is 0 only if all are."""
    settings = load_settings(file, os.environ, {})
    configure_logs(settings.logging.level)
    from app.auditing import run_audit  # noqa: PLC0415 - see `serve`

    sys.exit(run_audit(settings))


@main.command()
@_config
@click.option("--tenant", required=True, help="A UUID, or a name that stands for one.")
@click.option("--user", required=True, help="A UUID, or a name that stands for one within the tenant.")
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice([role.value for role in Role]),
    help="Repeatable.  [default: user]",
)
@_tells_mistakes
def token(file: Path | None, tenant: str, user: str, roles: tuple[str, ...]) -> None:
    """Print a token that a server in dev mode with the same data folder accepts for 30 days."""
    settings = load_settings(file, os.environ, {})
    if settings.auth.mode is not AuthMode.DEV:
        _refuse("auth.mode: is jwt; ask your identity provider for a token")
    try:
        issued = issue_dev_token(
            dev_secret(settings.data_dir),
            tenant=tenant,
            user=user,
            roles=roles or (Role.USER.value,),
            ttl=DEV_TOKEN_LIFETIME,
            now=SystemClock().now(),
        )
    except ValueError as fault:
        _refuse(f"--tenant, --user: {fault}")
    click.echo(issued)


@main.group()
def config() -> None:
    """Look at the configuration."""


@config.command()
@_config
@_tells_mistakes
def check(file: Path | None) -> None:
    """Print what holds, without secrets, and where each given value came from.

    Providers or models that a start would refuse in this environment are told on stderr, with exit code 2.
    """
    found = read_settings(file, os.environ, {})
    click.echo(config_report(found.struct, found.origins), nl=False)
    from app.configured_models import configured_models  # noqa: PLC0415 - see `serve`

    configured_models(found.struct, os.environ, SystemClock(), SilentTelemetry(), lambda: None)
