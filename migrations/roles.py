"""What stands before the first version: three roles of the cluster and the schema of this database.

    mini_chat_owner   no login   owns every object; migrations act as this role
    mini_chat_app     login      the running service: rows of the tenant that the transaction has set, nothing else
    mini_chat_ops     no login   entered with SET LOCAL ROLE: leases of running turns across tenants, no content

Roles belong to the whole cluster, so an operator may have made them beforehand, with passwords of his own, and
another database of the cluster may be migrating right now. Each statement therefore only adds what is missing.
"""

from typing import Final

OWNER: Final = "mini_chat_owner"

_ROLE = """
DO $$ BEGIN
    IF to_regrole('{name}') IS NULL THEN
        CREATE ROLE {name} {options};
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL; -- made by a migration of another database between the look and the deed
END $$
"""

# From version 16 a membership says itself whether it is inherited; before, the role's own NOINHERIT decides.
_MEMBERSHIPS = """
DO $$
DECLARE
    modern CONSTANT boolean := current_setting('server_version_num')::int >= 160000;
    entered CONSTANT text := CASE WHEN modern THEN 'SET' ELSE 'MEMBER' END;
    options CONSTANT text := CASE WHEN modern THEN ' WITH INHERIT FALSE, SET TRUE' ELSE '' END;
BEGIN
    IF (SELECT rolinherit FROM pg_roles WHERE rolname = 'mini_chat_app') THEN
        ALTER ROLE mini_chat_app NOINHERIT;
    END IF;
    IF NOT pg_has_role('mini_chat_app', 'mini_chat_ops', entered)
        OR pg_has_role('mini_chat_app', 'mini_chat_ops', 'USAGE')
    THEN
        EXECUTE 'GRANT mini_chat_ops TO mini_chat_app' || options;
    END IF;
    IF NOT pg_has_role(current_user, 'mini_chat_owner', entered) THEN
        EXECUTE 'GRANT mini_chat_owner TO CURRENT_USER' || options;
    END IF;
END $$
"""

_SCHEMA = """
DO $$ BEGIN
    IF to_regnamespace('mini_chat') IS NULL THEN
        CREATE SCHEMA mini_chat AUTHORIZATION mini_chat_owner;
    END IF;
END $$
"""

FOUNDATION: Final = (
    _ROLE.format(name="mini_chat_owner", options="NOLOGIN"),
    _ROLE.format(name="mini_chat_app", options="LOGIN NOINHERIT"),
    _ROLE.format(name="mini_chat_ops", options="NOLOGIN"),
    _MEMBERSHIPS,
    _SCHEMA,
)
