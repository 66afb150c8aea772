"""What administrators said about models: rows of no tenant, only ever added."""

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.catalogue.ports import Override
from domain.ids import UserId
from infra.postgres.orm.policy import ModelOverrideRow
from infra.postgres.policy_lock import ONE_AT_A_TIME


class PostgresModelOverrides:
    """Fills the port ModelOverrides."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def await_turn(self) -> None:
        await self._connection.execute(ONE_AT_A_TIME)

    async def newest(self, model_id: str) -> Override | None:
        statement = (
            select(ModelOverrideRow.enabled, ModelOverrideRow.version)
            .where(ModelOverrideRow.model_id == model_id)
            .order_by(ModelOverrideRow.version.desc())
            .limit(1)
        )
        row = (await self._connection.execute(statement)).one_or_none()
        return None if row is None else Override(model_id=model_id, enabled=row.enabled, version=row.version)

    async def set(self, model_id: str, present: Override | None, by: UserId, *, enabled: bool) -> Override:
        version = 1 if present is None else present.version + 1
        statement = insert(ModelOverrideRow).values(model_id=model_id, version=version, enabled=enabled, created_by=by)
        await self._connection.execute(statement)
        return Override(model_id=model_id, enabled=enabled, version=version)
