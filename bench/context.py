"""`python -m bench.context`: what the prompt of a chat of 10 000 messages costs to assemble.

Time is the server's own, in process: begin, one statement for the summary and the newest turns, commit, fence and
assembly. HTTP is not in it, nor are the other reads of a send. PostgreSQL is the one of the tests, on the same machine
and in memory.
"""

import sys
import time
import tracemalloc
from datetime import timedelta
from statistics import median, quantiles
from typing import Final

import anyio

from bench.report import Gate
from domain.catalogue.models import Estimation, ModelSpec
from domain.context.assembler import NO_TOOLS, Plan, assemble
from domain.context.fencing import fenced, new_nonce
from domain.unit_of_work import Access
from infra.postgres.engine import PoolLimits, create_pools
from infra.postgres.transaction import TransactionLimits
from infra.postgres.unit_of_work import PostgresUnitOfWork
from tests.harness.long_talk import LongTalk
from tests.harness.postgres import Database, running_server
from tests.harness.rows import connected
from tests.harness.statements import StatementCounter
from tests.harness.summaries import put_summary

_TURNS: Final = 5_000
_RECENT_TURNS: Final = 200
_SUMMARY_BYTES: Final = 8_192
_TALKS: Final = {
    "short messages": LongTalk(turns=_TURNS),
    "messages of 20 kB": LongTalk(turns=_TURNS, message_bytes=20_000),
    "1 000 failed turns at the end": LongTalk(turns=_TURNS, failed=1_000),
}
_MODEL: Final = ModelSpec(id="test-model", provider_id="test", provider_model_id="remote")
_BUDGETS: Final = Estimation()
_WARM_UP: Final = 30
_TIMES: Final = 500
_POOL: Final = PoolLimits(size=2, reserved_size=1, acquire=timedelta(seconds=5), statement=timedelta(seconds=5))


async def _settle(database: Database, talk: LongTalk) -> None:
    async with connected(database.superuser_dsn) as superuser:
        await talk.settle(superuser)


async def _summarise(database: Database, talk: LongTalk) -> None:
    covers_seq = 2 * (_TURNS - talk.failed - 10)
    body = "s" * _SUMMARY_BYTES
    await put_summary(database.superuser_dsn, talk.scope.tenant_id, talk.chat_id, covers_seq, body)


async def _measure(database: Database, what: str, talk: LongTalk) -> list[Gate]:
    pools = create_pools(database.dsn, _POOL, application_name="bench context")
    begin = PostgresUnitOfWork(pools.requests, TransactionLimits())

    async def assembled() -> Plan:
        max_bytes = _MODEL.max_input_tokens * _BUDGETS.bytes_per_token
        async with begin(talk.scope, Access.READ) as tx:
            history = await tx.turns.history(talk.chat_id, _RECENT_TURNS, max_bytes)
        recap = fenced(history.recap.text, new_nonce()) if history.recap else None
        return assemble(_MODEL, _BUDGETS, history.exchanges, "And now?", NO_TOOLS, recap)

    try:
        for _ in range(_WARM_UP):
            plan = await assembled()
        taken_ms: list[float] = []
        for _ in range(_TIMES):
            started = time.perf_counter()
            await assembled()
            taken_ms.append((time.perf_counter() - started) * 1000)
        async with StatementCounter(pools.requests) as counter:
            await assembled()
        tracemalloc.start()
        await assembled()
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    finally:
        await pools.dispose()
    return [
        Gate(what=f"{what}, p50", measured=median(taken_ms), limit=20, unit="ms", remark=f"; {len(plan.items)} items"),
        Gate(what=f"{what}, p99", measured=quantiles(taken_ms, n=100, method="inclusive")[98], limit=20, unit="ms"),
        Gate(what=f"{what}, statements but BEGIN", measured=counter.count - 1, limit=1, unit=""),
        Gate(what=f"{what}, peak of memory", measured=peak_bytes / 1024**2, limit=2, unit="MiB"),
    ]


def main() -> int:
    gates: list[Gate] = []
    for what, talk in _TALKS.items():
        with running_server() as server, server.database() as database:
            anyio.run(_settle, database, talk)
            gates += anyio.run(_measure, database, what, talk, backend_options={"use_uvloop": True})
            anyio.run(_summarise, database, talk)
            gates += anyio.run(_measure, database, f"{what}, summarised", talk, backend_options={"use_uvloop": True})
    for gate in gates:
        print(gate)
    return int("--gate" in sys.argv and not all(gate.met for gate in gates))


if __name__ == "__main__":
    sys.exit(main())
