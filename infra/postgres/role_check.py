"""Refuses to serve with a login that could step over the tenants' walls, or over a schema whose walls have gaps.

The catalogue is asked what is, not what the migrations meant. A row of the query is one violation, in a sentence.
"""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from infra.postgres.unusable import DatabaseUnusable

OLDEST_VERSION: Final = "0015"
NEWEST_VERSION: Final = "0015"

GLOBAL_TABLES: Final = frozenset(
    {
        "schema_migrations",
        "jobs",
        "job_log",
        "job_schedules",
        "job_statistics",
        "kill_switches",
        "model_overrides",
        "policy_snapshots",
    }
)
"""The tables of the schema that hold no tenant's data, jobs being ids; every other is behind row-level security."""

TENANT_ROWS: Final = (
    "(tenant_id = ( SELECT (NULLIF(current_setting('app.tenant'::text, true), ''::text))::uuid AS \"nullif\"))"
)
"""The one condition a tenant table may have towards the service, as PostgreSQL 15 to 18 print it."""


class UnsafeDatabase(DatabaseUnusable):
    """Each violation is a sentence for the operator; none holds a tenant's data."""

    def __init__(self, violations: tuple[str, ...]) -> None:
        super().__init__("The database is not safe to serve from:\n" + "\n".join(f"  - {each}" for each in violations))
        self.violations = violations


async def check_runtime_role(engine: AsyncEngine) -> None:
    """Returns when tenants are safe from each other on this login and this schema, else raises UnsafeDatabase.

    Two statements. A database that cannot be reached raises what the driver raises.
    """
    async with engine.connect() as connection:
        violations = await find_violations(connection)
    if violations:
        raise UnsafeDatabase(violations)


async def find_violations(connection: AsyncConnection) -> tuple[str, ...]:
    """What is wrong, most fundamental first: where a finding makes all others meaningless, it stands alone."""
    if fatal := await connection.scalar(_FATAL):
        return (fatal,)
    found = await connection.scalars(
        _VIOLATIONS,
        {
            "oldest": OLDEST_VERSION,
            "newest": NEWEST_VERSION,
            "global_tables": sorted(GLOBAL_TABLES),
            "tenant_rows": TENANT_ROWS,
        },
    )
    return tuple(found)


# A superuser is a member of every role and holds every privilege, so nothing else could be learnt about it.
_FATAL: Final = text("""
SELECT CASE
    WHEN (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
        THEN format('%I is a superuser', current_user)
    WHEN NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                     WHERE n.nspname = 'mini_chat' AND c.relname = 'schema_migrations')
        THEN 'the database has no mini_chat schema: run mini-chat migrate'
    WHEN NOT (has_schema_privilege('mini_chat', 'USAGE') AND pg_has_role('mini_chat_app', 'USAGE'))
        THEN format('%I does not have the rights of mini_chat_app', current_user)
END
""")

_VIOLATIONS: Final = text("""
WITH relation AS (
    SELECT c.*, format('%I.%I', n.nspname, c.relname) AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'mini_chat'
), tenant_table AS (
    SELECT * FROM relation WHERE relkind IN ('r', 'p') AND relname <> ALL (CAST(:global_tables AS name[]))
), applying_policy AS (
    SELECT p.*, pg_get_expr(polqual, polrelid) AS using_text, pg_get_expr(polwithcheck, polrelid) AS check_text
    FROM pg_policy p
    WHERE EXISTS (SELECT FROM unnest(p.polroles) AS role WHERE role = 0 OR pg_has_role(role, 'USAGE'))
)
SELECT format('%I may act as %I, which bypasses row-level security', current_user, rolname)
FROM pg_roles WHERE rolbypassrls AND pg_has_role(oid, 'MEMBER')
UNION ALL
SELECT format('%I may act as %I, which is a superuser', current_user, rolname)
FROM pg_roles WHERE rolsuper AND pg_has_role(oid, 'MEMBER')
UNION ALL
SELECT format('%I owns %s', current_user, name)
FROM relation WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND pg_has_role(relowner, 'MEMBER')
UNION ALL
SELECT format('%I owns the schema mini_chat', current_user)
FROM pg_namespace WHERE nspname = 'mini_chat' AND pg_has_role(nspowner, 'MEMBER')
UNION ALL
SELECT format('%I may create objects in the schema %I', current_user, nspname)
FROM pg_namespace
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND has_schema_privilege(oid, 'CREATE')
UNION ALL
SELECT format('%I may create schemas in the database %I', current_user, current_database())
WHERE has_database_privilege(current_database(), 'CREATE')
UNION ALL
SELECT format('%I inherits mini_chat_ops instead of entering it', current_user)
WHERE pg_has_role('mini_chat_ops', 'USAGE')
UNION ALL
SELECT format('%I may not enter mini_chat_ops', current_user)
WHERE NOT pg_has_role('mini_chat_ops', 'MEMBER')
UNION ALL
SELECT format('%I holds %s on %s', current_user, privilege, name)
FROM tenant_table, unnest(ARRAY['TRUNCATE', 'REFERENCES', 'TRIGGER']) AS privilege
WHERE has_table_privilege(tenant_table.oid, privilege)
UNION ALL
SELECT format('%s has no forced row-level security', name)
FROM tenant_table WHERE NOT (relrowsecurity AND relforcerowsecurity)
UNION ALL
SELECT format('%s has no policy for mini_chat_app', name)
FROM tenant_table WHERE NOT EXISTS (SELECT FROM applying_policy WHERE polrelid = tenant_table.oid)
UNION ALL
SELECT format('%s has another policy than the tenant''s: %I', name, polname)
FROM tenant_table JOIN applying_policy ON polrelid = tenant_table.oid
WHERE (polcmd, using_text, check_text) IS DISTINCT FROM ('*', CAST(:tenant_rows AS text), CAST(:tenant_rows AS text))
UNION ALL
SELECT format('the schema is at version %s, this program works with %s to %s',
              coalesce(max(version_num), 'none'), CAST(:oldest AS text), CAST(:newest AS text))
FROM mini_chat.schema_migrations
HAVING coalesce(max(version_num) NOT BETWEEN CAST(:oldest AS text) AND CAST(:newest AS text), true)
""")
