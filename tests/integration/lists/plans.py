"""How PostgreSQL runs what a repository sends: the plan of each statement, executed under the service's own login.

With TESTS_SHOW_PLANS set each is also printed as people read it (pytest shows that with `-rP`).
"""

import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy import event

from domain.scope import AccessScope
from domain.unit_of_work import Access
from infra.postgres.engine import PoolLimits, create_pools
from infra.postgres.transaction import TransactionLimits
from infra.postgres.unit_of_work import PostgresTransaction, PostgresUnitOfWork
from tests.harness.rows import acting_for, connected

LIMITS: Final = PoolLimits(size=1, reserved_size=1, acquire=timedelta(seconds=5), statement=timedelta(seconds=5))

_SHOWN: Final = bool(os.environ.get("TESTS_SHOW_PLANS"))

GENERIC, CUSTOM = PLAN_MODES = ("force_generic_plan", "force_custom_plan")


class Plan(msgspec.Struct, frozen=True):
    """One executed plan, as EXPLAIN (ANALYZE, FORMAT JSON) tells it."""

    root: dict[str, Any]

    def nodes(self) -> Iterator[dict[str, Any]]:
        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(node.get("Plans", ()))

    @property
    def sequential_scans(self) -> list[str]:
        return [node["Relation Name"] for node in self.nodes() if "Seq Scan" in node["Node Type"]]

    @property
    def sorts(self) -> list[str]:
        """How each sort was done and where, such as `top-N heapsort in Memory`."""
        found: list[str] = []
        for node in self.nodes():
            workers = [node, *node.get("Workers", ())] if "Sort" in node["Node Type"] else []
            found.extend(f"{at['Sort Method']} in {at['Sort Space Type']}" for at in workers if "Sort Method" in at)
            for groups in ("Full-sort Groups", "Pre-sorted Groups"):
                found.extend(f"{method} in groups" for method in node.get(groups, {}).get("Sort Methods Used", ()))
        return found

    @property
    def once(self) -> list[int]:
        """How often each sub-select that depends on nothing was run."""
        return [node["Actual Loops"] for node in self.nodes() if node.get("Parent Relationship") == "InitPlan"]

    @property
    def repeated(self) -> list[str]:
        """Sub-selects that are run for every row."""
        return [node["Node Type"] for node in self.nodes() if node.get("Parent Relationship") == "SubPlan"]

    def rows_read(self, table: str) -> int:
        """Those that were looked at and thrown away too."""
        read = 0.0
        for node in self.nodes():
            if node.get("Relation Name") == table:
                thrown = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
                read += (node["Actual Rows"] + thrown) * node["Actual Loops"]
        return round(read)

    @property
    def text(self) -> str:
        return "\n".join(
            f"{node['Node Type']} {node.get('Index Name', '')} rows={node['Actual Rows']} loops={node['Actual Loops']}"
            for node in self.nodes()
        )


async def plans_of(
    dsn: str, scope: AccessScope, mode: str, read: Callable[[PostgresTransaction], Awaitable[object]]
) -> list[Plan]:
    """Of every statement that `read` sends, in order."""
    sent = await _sent(dsn, scope, read)
    async with connected(dsn) as service, acting_for(service, scope.tenant_id):
        await service.execute(f"SET LOCAL plan_cache_mode = {mode}")
        return [await explained(service, statement, values) for statement, values in sent]


async def _sent(
    dsn: str, scope: AccessScope, read: Callable[[PostgresTransaction], Awaitable[object]]
) -> list[tuple[str, Sequence[object]]]:
    sent: list[tuple[str, Sequence[object]]] = []

    def note(*arguments: Any) -> None:
        _connection, _cursor, statement, values, *_ = arguments
        sent.append((statement, values))

    pools = create_pools(dsn, LIMITS, application_name="plans")
    event.listen(pools.requests.sync_engine, "before_cursor_execute", note)
    try:
        async with PostgresUnitOfWork(pools.requests, TransactionLimits())(scope, Access.LIST) as tx:
            await read(tx)
    finally:
        await pools.dispose()
    return sent


async def explained(service: asyncpg.Connection, statement: str, values: Sequence[object]) -> Plan:
    """Of a statement as the service sends it, run once."""
    await service.execute(f"PREPARE page AS {statement}")
    call = f"EXECUTE page({', '.join(map(_literal, values))})" if values else "EXECUTE page"
    found = await service.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {call}")
    if _SHOWN:
        lines = await service.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {call}")
        print("", statement, *(line[0] for line in lines), sep="\n")  # noqa: T201
    await service.execute("DEALLOCATE page")
    return Plan(msgspec.json.decode(found)[0]["Plan"])


def _literal(value: object) -> str:
    match value:
        case None:
            return "NULL"
        case bool() | int():
            return str(value)
        case list():
            return f"ARRAY[{', '.join(map(_literal, value))}]"
        case UUID():
            return f"'{value}'::uuid"
        case datetime():
            return f"'{value.isoformat()}'::timestamptz"
    return "'" + str(value).replace("'", "''") + "'"
