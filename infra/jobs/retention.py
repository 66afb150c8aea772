"""Forgets what has been kept long enough: expired events of any tenant, and the log of jobs that are done."""

from datetime import timedelta
from typing import Final

import asyncpg

from infra.jobs.runner import WORKER_ROLE
from infra.postgres.dsn import driver_dsn

_STATEMENT: Final = timedelta(minutes=1)
"""The last look goes through the whole table, once an hour."""

_BATCH: Final = 500
_NOTHING: Final = "DELETE 0"

_EXPIRED_EVENTS: Final = """
    DELETE FROM mini_chat.{table} WHERE (tenant_id, id) IN (
        SELECT tenant_id, id FROM mini_chat.{table} WHERE expires_at < now() LIMIT $1)
"""
# Of a job that is still there, dead ones included, everything stays: it tells operators why.
_OLD_LOG: Final = """
    DELETE FROM mini_chat.job_log WHERE id IN (
        SELECT log.id FROM mini_chat.job_log log
        WHERE log.created < now() - $2::interval
          AND NOT EXISTS (SELECT FROM mini_chat.jobs job WHERE job.id = log.job_id)
        LIMIT $1)
"""


class Retention:
    """`address` is that of the runtime's login; the log is kept for `log`, events until they expire."""

    def __init__(self, address: str, log: timedelta) -> None:
        self._address = address
        self._log = log

    async def forget(self) -> None:
        """In small batches, so that nobody waits for it. Any number of processes may do it at once."""
        connection = await asyncpg.connect(
            driver_dsn(self._address),
            server_settings={
                "application_name": "mini-chat retention",
                "role": WORKER_ROLE,
                "statement_timeout": str(int(_STATEMENT.total_seconds() * 1000)),
            },
        )
        try:
            for table in ("audit_events", "usage_events"):
                await _emptied(connection, _EXPIRED_EVENTS.format(table=table))
            await _emptied(connection, _OLD_LOG, self._log)
        finally:
            connection.terminate()


async def _emptied(connection: asyncpg.Connection, deletion: str, *values: object) -> None:
    while await connection.execute(deletion, _BATCH, *values) != _NOTHING:
        pass
