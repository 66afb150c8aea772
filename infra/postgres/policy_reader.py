"""What operators changed, looked for by every process now and then: one number as long as it was nothing."""

from typing import Final

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on

from domain.catalogue.ports import Override, Overrides
from domain.switches.ports import Standing
from infra.postgres.connection_pool import ConnectionPool
from infra.postgres.orm.policy import KillSwitchRow, ModelOverrideRow
from infra.postgres.plain_transactions import SNAPSHOT, PlainTransactions
from infra.postgres.repositories.switches import NEWEST, SWITCH_COLUMNS, switch_of
from infra.postgres.transaction import TransactionLimits

_REVISION: Final = select(
    func.coalesce(func.max(KillSwitchRow.revision), 0),
    func.extract("epoch", func.clock_timestamp() - func.max(KillSwitchRow.recorded_at)),
)
_STANDING: Final = select(*SWITCH_COLUMNS).where(NEWEST, KillSwitchRow.cleared_at.is_(None))
_OVERRIDE_REVISION: Final = select(func.coalesce(func.max(ModelOverrideRow.revision), 0))
_OVERRIDES: Final = (
    select(ModelOverrideRow.model_id, ModelOverrideRow.enabled, ModelOverrideRow.version)
    .ext(distinct_on(ModelOverrideRow.model_id))
    .order_by(ModelOverrideRow.model_id, ModelOverrideRow.version.desc())
)


class PostgresPolicyReader:
    """Fills SwitchReader and OverrideReader.

    On the reserved pool: a switch has to act when requests hold everything.
    """

    def __init__(self, pool: ConnectionPool, limits: TransactionLimits) -> None:
        self._begun = PlainTransactions(pool, limits, SNAPSHOT)

    async def standing(self, known: int | None) -> Standing | None:
        async with self._begun() as connection:
            revision, age_s = (await connection.execute(_REVISION)).one()
            if revision == known:
                return None
            rows = (await connection.execute(_STANDING)).all()
        return Standing(revision=revision, switches=[switch_of(row) for row in rows], age_s=float(age_s or 0))

    async def overrides(self, known: int | None) -> Overrides | None:
        async with self._begun() as connection:
            revision = (await connection.execute(_OVERRIDE_REVISION)).scalar_one()
            if revision == known:
                return None
            rows = (await connection.execute(_OVERRIDES)).all()
        found = [Override(model_id=row.model_id, enabled=row.enabled, version=row.version) for row in rows]
        return Overrides(revision=revision, overrides=found)
