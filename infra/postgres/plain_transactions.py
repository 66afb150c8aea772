"""Transactions under no tenant: what they may see is what their role may see of all."""

from contextlib import AbstractAsyncContextManager
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from infra.postgres.connection_pool import ConnectionPool
from infra.postgres.transaction import TransactionLimits, transaction

SNAPSHOT: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
OPS: Final = "mini_chat_ops"
"""Sees some columns of some rows of all tenants, and no content."""


class PlainTransactions:
    """Each begins as `mode` says, and as `role` where one is given. The promises of `transaction` hold."""

    def __init__(
        self, pool: ConnectionPool, limits: TransactionLimits, mode: str = "BEGIN", *, role: str | None = None
    ) -> None:
        entering = "" if role is None else f"SET LOCAL ROLE {role}; "
        self._pool = pool
        self._opening = f"{mode}; {entering}SELECT {limits.settings()}"
        self._ending = limits.ending

    def __call__(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return transaction(self._pool, self._opening, self._ending, lambda connection: connection)
