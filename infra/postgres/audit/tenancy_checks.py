"""What keeps tenants apart, as the catalogue has it: each row found is a sentence about one gap."""

from collections.abc import Iterable
from typing import Final

from infra.postgres.role_check import GLOBAL_TABLES, TENANT_ROWS

DELETABLE: Final = ("turn_parts",)
"""Tables of which the service may delete rows."""


def _names(names: Iterable[str]) -> str:
    return f"'{{{','.join(sorted(names))}}}'::name[]"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


_GAPS: Final = """
WITH tenant_table AS (
    SELECT c.oid, c.relname, c.relrowsecurity, c.relforcerowsecurity, (
        SELECT attnum FROM pg_attribute WHERE attrelid = c.oid AND attname = 'tenant_id' AND atttypid = 'uuid'::regtype
    ) AS tenant
    FROM pg_class c
    WHERE c.relnamespace = 'mini_chat'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname <> ALL ({global_tables})
)
SELECT format('%s: the primary key does not begin with tenant_id', relname) FROM tenant_table
WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = tenant_table.oid AND contype = 'p' AND conkey[1] = tenant)
UNION ALL
SELECT format('%s: the index %s does not begin with tenant_id', relname, indexrelid::regclass)
FROM tenant_table JOIN pg_index ON indrelid = tenant_table.oid
WHERE indkey[0] IS DISTINCT FROM tenant
UNION ALL
SELECT format('%s: the foreign key %s does not carry tenant_id to tenant_id', relname, conname)
FROM tenant_table JOIN pg_constraint ON conrelid = tenant_table.oid AND contype = 'f'
WHERE NOT EXISTS (
    SELECT FROM unnest(conkey, confkey) AS pair (ours, theirs)
    JOIN pg_attribute target ON target.attrelid = confrelid AND target.attnum = pair.theirs
    WHERE pair.ours = tenant AND target.attname = 'tenant_id')
UNION ALL
SELECT format('%s: the foreign key %s cascades', relname, conname)
FROM tenant_table JOIN pg_constraint ON conrelid = tenant_table.oid AND contype = 'f'
WHERE confdeltype <> 'a' OR confupdtype <> 'a'
UNION ALL
SELECT format('%s: does not belong to mini_chat_owner', relname)
FROM pg_class WHERE relnamespace = 'mini_chat'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
    AND relowner <> 'mini_chat_owner'::regrole
UNION ALL
SELECT format('%s: PUBLIC holds %s', c.relname, acl.privilege_type)
FROM pg_class c, aclexplode(c.relacl) AS acl
WHERE c.relnamespace = 'mini_chat'::regnamespace AND acl.grantee = 0
UNION ALL
SELECT format('%s: mini_chat_app may delete', relname)
FROM tenant_table WHERE relname <> ALL ({deletable}) AND has_table_privilege('mini_chat_app', oid, 'DELETE')
UNION ALL
SELECT format('%s: the view is not security_invoker', relname)
FROM pg_class WHERE relnamespace = 'mini_chat'::regnamespace AND relkind = 'v'
    AND NOT coalesce('security_invoker=true' = ANY (reloptions), false)
UNION ALL
SELECT format('%s: a materialised view has no policies', relname)
FROM pg_class WHERE relnamespace = 'mini_chat'::regnamespace AND relkind = 'm'
UNION ALL
SELECT format('%s: the function is SECURITY DEFINER or LEAKPROOF', proname)
FROM pg_proc WHERE pronamespace = 'mini_chat'::regnamespace AND (prosecdef OR proleakproof)
UNION ALL
SELECT format('%s: no forced row-level security', relname)
FROM tenant_table WHERE NOT (relrowsecurity AND relforcerowsecurity)
UNION ALL
SELECT format('%s: the service has no policy, or another than the tenant''s', relname)
FROM tenant_table
WHERE (SELECT coalesce(bool_and(polcmd = '*' AND pg_get_expr(polqual, polrelid) = {tenant_rows}
                                AND pg_get_expr(polwithcheck, polrelid) = {tenant_rows}), false)
       FROM pg_policy
       WHERE polrelid = tenant_table.oid AND polroles @> ARRAY['mini_chat_app'::regrole::oid]) IS NOT TRUE
UNION ALL
SELECT format('mini_chat_app may act as %I, which row-level security does not hold', rolname)
FROM pg_roles WHERE (rolsuper OR rolbypassrls) AND pg_has_role('mini_chat_app', oid, 'MEMBER')
"""

TENANCY_CHECKS: Final = {
    "gap_between_tenants": _GAPS.format(
        global_tables=_names(GLOBAL_TABLES), deletable=_names(DELETABLE), tenant_rows=_text(TENANT_ROWS)
    ),
}
