"""`python -m bench.lists`: what a page of a list costs among a million messages, under forced row-level security.

Time is the server's own, in process, around one call of the use case: begin, the chat, the page, commit. HTTP is not
in it. PostgreSQL is the one of the tests, on the same machine and in memory.
"""

import sys
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from statistics import median, quantiles
from typing import Final

import anyio

from bench.report import Gate
from domain.auth.policy import LICENCE_FEATURE, Policy
from domain.messages.service import MessageService
from domain.pagination import PageQuery, Position, Travel
from domain.scope import AccessScope
from domain.subject import AuthMethod, Subject
from domain.unit_of_work import Access
from infra.postgres.engine import PoolLimits, create_pools
from infra.postgres.transaction import TransactionLimits
from infra.postgres.unit_of_work import PostgresUnitOfWork
from tests.harness.postgres import Database, running_server
from tests.harness.rows import connected
from tests.harness.statements import StatementCounter
from tests.integration.lists.crowd import Crowd

_CROWD: Final = Crowd(messages=1_000_000, chats=20_000)
_LIMIT: Final = 20
_WARM_UP: Final = 50
_TIMES: Final = 1000
_PAGE_5000: Final = Position(keys=(5000 * _LIMIT,), travel=Travel.FORWARD)
_POOL: Final = PoolLimits(size=2, reserved_size=1, acquire=timedelta(seconds=5), statement=timedelta(seconds=5))


async def _settle(database: Database) -> None:
    async with connected(database.superuser_dsn) as superuser:
        await _CROWD.settle(superuser)


def _subject(scope: AccessScope) -> Subject:
    return Subject(
        tenant_id=scope.tenant_id,
        user_id=scope.user_id,
        roles=frozenset({"user"}),
        features=frozenset({LICENCE_FEATURE}),
        auth_method=AuthMethod.DEV,
    )


async def _measure(database: Database) -> list[Gate]:
    pools = create_pools(database.dsn, _POOL, application_name="bench lists")
    begin = PostgresUnitOfWork(pools.requests, TransactionLimits())
    messages, writer = MessageService(begin, Policy()), _subject(_CROWD.writer)

    async def said(position: Position | None = None) -> None:
        await messages.list(writer, _CROWD.long_chat, PageQuery(limit=_LIMIT, position=position))

    async def chats() -> None:
        async with begin(_CROWD.collector, Access.LIST) as tx:
            await tx.chats.page(PageQuery(limit=_LIMIT))

    try:
        first_ms, deep_ms = await _alternating_ms(said, lambda: said(_PAGE_5000))
        chats_ms, _ = await _alternating_ms(chats, chats)
        async with StatementCounter(pools.requests) as counter:
            await said()
    finally:
        await pools.dispose()
    ratio = median(deep_ms) / median(first_ms)
    return [
        *_latency("messages, page 1", first_ms),
        *_latency("messages, page 5000", deep_ms),
        *_latency("chats, page 1 of one who has 20 000", chats_ms),
        Gate(what="messages, page 5000 / page 1, p50", measured=ratio, limit=1.2, unit="x"),
        Gate(what="statements of a page, BEGIN included", measured=counter.count, limit=3, unit=""),
    ]


async def _alternating_ms(
    one: Callable[[], Awaitable[None]], other: Callable[[], Awaitable[None]]
) -> tuple[list[float], list[float]]:
    """In turns, so that whatever else the machine does falls on both alike."""
    for _ in range(_WARM_UP):
        await one()
        await other()
    pairs = [(await _ms(one), await _ms(other)) for _ in range(_TIMES)]
    return [first for first, _ in pairs], [second for _, second in pairs]


async def _ms(call: Callable[[], Awaitable[None]]) -> float:
    started = time.perf_counter()
    await call()
    return (time.perf_counter() - started) * 1000


def _latency(what: str, taken_ms: list[float]) -> list[Gate]:
    p99 = quantiles(taken_ms, n=100, method="inclusive")[98]
    return [
        Gate(what=f"{what}, p50", measured=median(taken_ms), limit=3, unit="ms"),
        Gate(what=f"{what}, p99", measured=p99, limit=15, unit="ms", remark=f"; max {max(taken_ms):.2f}"),
    ]


def main() -> int:
    with running_server() as server, server.database() as database:
        anyio.run(_settle, database)
        gates = anyio.run(_measure, database, backend_options={"use_uvloop": True})
    for gate in gates:
        print(gate)
    return int("--gate" in sys.argv and not all(gate.met for gate in gates))


if __name__ == "__main__":
    sys.exit(main())
