"""Asks everything in one snapshot, under a login that sees all tenants (reliability.md, chapter 3)."""

from collections.abc import Mapping
from typing import Final

import asyncpg
import msgspec

from infra.postgres.audit.checks import CHECKS
from infra.postgres.dsn import driver_dsn
from infra.postgres.unusable import DatabaseUnusable

_SAMPLES: Final = 3

# A login behind row-level security sees no rows, and one without pg_read_all_stats no sessions: both would find
# nothing wrong.
_SEES_ALL: Final = """
    SELECT (rolsuper OR rolbypassrls) AND (rolsuper OR pg_has_role('pg_read_all_stats', 'USAGE'))
    FROM pg_roles WHERE rolname = current_user
"""
_COUNTED: Final = """
    SELECT count(*) AS violations, coalesce(array_to_string((array_agg(found::text))[1:{samples}], ' '), '') AS sample
    FROM ({query}) AS found
"""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """`sample` names a few of the rows, by id."""

    check: str
    violations: int
    sample: str


async def audit(address: str, checks: Mapping[str, str] = CHECKS) -> tuple[Finding, ...]:
    """One finding for each check, of which those without violations are well.

    Raises DatabaseUnusable for a login that may not see everything, and for a database that cannot be read.
    """
    try:
        connection = await asyncpg.connect(driver_dsn(address), server_settings={"application_name": "mini-chat audit"})
        try:
            return await _findings(connection, checks)
        finally:
            connection.terminate()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as fault:
        raise DatabaseUnusable(f"the database cannot be audited: {fault}") from None


async def _findings(connection: asyncpg.Connection, checks: Mapping[str, str]) -> tuple[Finding, ...]:
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        if not await connection.fetchval(_SEES_ALL):
            raise DatabaseUnusable(
                "this login does not see everything, so it would find nothing wrong: an audit needs one with BYPASSRLS "
                "and pg_read_all_stats (docs/operations.md)"
            )
        findings = []
        for check, query in checks.items():
            (row,) = await connection.fetch(_COUNTED.format(samples=_SAMPLES, query=query))
            findings.append(Finding(check=check, violations=row["violations"], sample=row["sample"]))
        return tuple(findings)
