"""`mini-chat audit`: whether the books are right, in one line for each thing that must hold."""

import anyio
import click

from app.config_layers import Mistakes
from app.settings import Settings
from infra.postgres.audit.auditor import Finding, audit
from infra.postgres.binaries import find_binaries
from infra.postgres.embedded import EmbeddedPostgres
from infra.postgres.unusable import DatabaseUnusable


def run_audit(settings: Settings) -> int:
    """Returns 0 only when nothing is wrong. Raises Mistakes where nothing could be found out."""
    try:
        findings = anyio.run(audit, _address(settings))
    except DatabaseUnusable as fault:
        raise Mistakes((str(fault),)) from None
    click.echo("\n".join(map(_line, findings)))
    return int(any(finding.violations for finding in findings))


def _address(settings: Settings) -> str:
    """The auditor's own login; of an embedded server, which has to run, its superuser."""
    if settings.database.audit_url is not None:
        return settings.database.audit_url
    if settings.database.url is not None:
        raise Mistakes(("database.audit_url: an audit needs a login of its own (docs/operations.md)",))
    return EmbeddedPostgres(settings.data_dir / "postgres", find_binaries(settings.pg_bin)).superuser_dsn


def _line(finding: Finding) -> str:
    return f"{finding.check} {finding.violations} {finding.sample}".rstrip()
