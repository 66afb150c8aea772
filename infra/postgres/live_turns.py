"""The running turns of all tenants, as operators see them: ids, models and moments, no content.

Read as `mini_chat_ops`, like the other statements that span tenants.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.catalogue.models import Tier
from domain.catalogue.ports import Catalogue
from domain.ids import TenantId
from domain.switches.models import Tool, TurnFacts
from infra.postgres.connection_pool import ConnectionPool
from infra.postgres.transaction import TransactionLimits, transaction

_CENSUS: Final = text("""
    SELECT tenant_id, effective_model, provider_id, web_search, count(*) AS turns
    FROM mini_chat.chat_turns
    WHERE state = 'running'
    GROUP BY tenant_id, effective_model, provider_id, web_search
""")


class PostgresLiveTurns:
    """Fills the port LiveTurns. Which models are premium is what the catalogue says now."""

    def __init__(self, pool: ConnectionPool, limits: TransactionLimits, catalogue: Catalogue) -> None:
        self._pool = pool
        self._opening = f"BEGIN READ ONLY; SET LOCAL ROLE mini_chat_ops; SELECT {limits.settings()}"
        self._ending = limits.ending
        self._catalogue = catalogue

    def _begun(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return transaction(self._pool, self._opening, self._ending, lambda connection: connection)

    async def census(self) -> Sequence[tuple[TurnFacts, int]]:
        premium = {model.id for model in self._catalogue.models() if model.tier is Tier.PREMIUM}
        async with self._begun() as connection:
            rows = (await connection.execute(_CENSUS)).all()
        return [
            (
                TurnFacts(
                    tenant_id=TenantId(row.tenant_id),
                    model=row.effective_model,
                    provider_id=row.provider_id,
                    is_premium=row.effective_model in premium,
                    tools=frozenset({Tool.WEB_SEARCH} if row.web_search else ()),
                ),
                row.turns,
            )
            for row in rows
        ]
