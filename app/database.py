"""The database of this deployment: the configured one, or our own under the data directory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.settings import DatabaseSettings, Settings
from infra.postgres.binaries import find_binaries
from infra.postgres.embedded import EmbeddedPostgres
from infra.postgres.engine import PoolLimits, Pools, create_pools
from infra.postgres.errors import DRIVER_ERRORS
from infra.postgres.migrate import upgrade
from infra.postgres.role_check import check_runtime_role
from infra.postgres.transaction import TransactionLimits
from infra.postgres.unusable import DatabaseUnusable


@asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[str]:
    """Yields the address for the service's own role.

    The embedded server is started, migrated, and stopped afterwards; a configured one is left as it is, because
    in production migrating is a step of the deployment. Raises EmbeddedPostgresFailed.
    """
    if settings.database.url is not None:
        yield settings.database.url
        return
    server = EmbeddedPostgres(settings.data_dir / "postgres", find_binaries(settings.pg_bin))
    await server.start()
    try:
        await upgrade(server.superuser_dsn)
        yield server.app_dsn
    finally:
        await server.stop()  # noqa: ASYNC102 - shields itself


def open_pools(database: DatabaseSettings, address: str) -> Pools:
    """Connects to nothing yet."""
    limits = PoolLimits(
        size=database.pool_size,
        reserved_size=database.pool_reserved,
        acquire=database.acquire_timeout,
        statement=database.statement_timeout,
    )
    return create_pools(address, limits, application_name="mini-chat")


def transaction_limits(database: DatabaseSettings) -> TransactionLimits:
    return TransactionLimits(
        statement=database.statement_timeout,
        lock=database.lock_timeout,
        idle=database.idle_in_tx_timeout,
    )


async def check_database(pools: Pools) -> None:
    """Raises DatabaseUnusable, in words for the operator, unless tenants are safe from each other in this database."""
    try:
        await check_runtime_role(pools.requests)
    except DRIVER_ERRORS as fault:
        raise DatabaseUnusable(f"database.url: cannot be used: {_reason(fault)}") from None


def _reason(fault: BaseException) -> str:
    """The driver's own sentence or the system's; neither repeats the address, whose password is nobody's business."""
    while fault.__cause__ is not None:
        fault = fault.__cause__
    text = fault.strerror if isinstance(fault, OSError) else str(fault)
    return (text or type(fault).__name__).splitlines()[0]
