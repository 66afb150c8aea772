"""Catalogues that were in force, each content under one number."""

import hashlib
from typing import Final

import msgspec
from sqlalchemy import func, insert, select

from domain.catalogue.models import ModelSpec
from infra.postgres.connection_pool import ConnectionPool
from infra.postgres.orm.policy import PolicySnapshotRow
from infra.postgres.plain_transactions import PlainTransactions
from infra.postgres.policy_lock import ONE_AT_A_TIME
from infra.postgres.transaction import TransactionLimits

_NEXT: Final = select(func.coalesce(func.max(PolicySnapshotRow.version), 0) + 1).scalar_subquery()


class PostgresCatalogueBook:
    """Fills the port CatalogueBook, on the reserved pool."""

    def __init__(self, pool: ConnectionPool, limits: TransactionLimits) -> None:
        self._begun = PlainTransactions(pool, limits)

    async def record(self, models: tuple[ModelSpec, ...]) -> int:
        content = msgspec.json.encode(models)
        digest = hashlib.sha256(content).digest()
        known = select(PolicySnapshotRow.version).where(PolicySnapshotRow.sha256 == digest)
        adding = insert(PolicySnapshotRow).values(
            version=_NEXT, sha256=digest, body={"models": msgspec.json.decode(content)}
        )
        async with self._begun() as connection:
            await connection.execute(ONE_AT_A_TIME)
            version: int | None = (await connection.execute(known)).scalar_one_or_none()
            if version is None:
                version = (await connection.execute(adding.returning(PolicySnapshotRow.version))).scalar_one()
        return version
