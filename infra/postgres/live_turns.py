"""The running turns of all tenants, as operators see them: ids, models and moments, no content.

Read as `mini_chat_ops`, like the other statements that span tenants.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Row, case, func, select, text

from domain.catalogue.models import Tier
from domain.catalogue.ports import Catalogue
from domain.ids import ChatId, OwnerId, RequestId, TenantId, TurnId, UserId
from domain.pagination import Page, PageQuery
from domain.streaming.ports import OnDisconnect
from domain.switches.models import Tool, TurnFacts
from domain.turns.live import LIVE_TURN_LIST, LiveTurn, Phase
from domain.turns.models import TurnState
from infra.postgres.connection_pool import ConnectionPool
from infra.postgres.list_columns import ListColumns
from infra.postgres.orm.turn import TurnRow
from infra.postgres.orm.turn_part import TurnPartRow
from infra.postgres.plain_transactions import OPS, SNAPSHOT, PlainTransactions
from infra.postgres.sql_list import SqlList
from infra.postgres.transaction import TransactionLimits

_CENSUS: Final = text("""
    SELECT tenant_id, effective_model, provider_id, web_search_held > 0 AS searches,
        code_interpreter_held > 0 AS runs_code, count(*) AS turns
    FROM mini_chat.chat_turns
    WHERE state = 'running'
    GROUP BY tenant_id, effective_model, provider_id, searches, runs_code
""")


_SAVED_AT: Final = (
    select(func.max(TurnPartRow.created_at))
    .where(TurnPartRow.tenant_id == TurnRow.tenant_id, TurnPartRow.turn_id == TurnRow.id)
    .correlate(TurnRow)
    .scalar_subquery()
)
_RUNNING: Final = TurnRow.state == TurnState.RUNNING.value


class PostgresLiveTurns:
    """Fills the ports LiveTurns and LiveTurnList. Which models are premium is what the catalogue says now."""

    def __init__(self, pool: ConnectionPool, limits: TransactionLimits, catalogue: Catalogue) -> None:
        self._begun = PlainTransactions(pool, limits, SNAPSHOT, role=OPS)
        self._catalogue = catalogue

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
                    tools=frozenset(_tools(row)),
                ),
                row.turns,
            )
            for row in rows
        ]

    async def page(self, query: PageQuery) -> Page[LiveTurn]:
        async with self._begun() as connection:
            return await _LIST.page(connection, _RUNNING, query)

    async def find(self, turn_id: TurnId) -> LiveTurn | None:
        async with self._begun() as connection:
            rows = await connection.execute(select(*_MEMBERS).where(_RUNNING, TurnRow.id == turn_id))
            row = rows.one_or_none()
        return None if row is None else _live_turn(row)


def _tools(row: Row[*tuple[Any, ...]]) -> Iterator[Tool]:
    """Those whose calls are held."""
    if row.searches:
        yield Tool.WEB_SEARCH
    if row.runs_code:
        yield Tool.CODE_INTERPRETER


_MEMBERS: Final = (
    TurnRow.id.label("turn_id"),
    TurnRow.tenant_id,
    TurnRow.user_id,
    TurnRow.chat_id,
    TurnRow.request_id,
    TurnRow.effective_model,
    TurnRow.provider_id,
    case(
        (TurnRow.cancel_requested_at.is_not(None), Phase.FINALIZING.value),
        (_SAVED_AT.is_not(None), Phase.STREAMING.value),
        else_=Phase.STARTING.value,
    ).label("phase"),
    TurnRow.on_disconnect,
    TurnRow.started_at,
    func.greatest(TurnRow.started_at, _SAVED_AT).label("last_progress_at"),
    TurnRow.lease_until,
    TurnRow.owner_id,
    TurnRow.owner_epoch,
)


def _live_turn(row: Row[*tuple[Any, ...]]) -> LiveTurn:
    return LiveTurn(
        turn_id=TurnId(row.turn_id),
        tenant_id=TenantId(row.tenant_id),
        user_id=UserId(row.user_id),
        chat_id=ChatId(row.chat_id),
        request_id=RequestId(row.request_id),
        effective_model=row.effective_model,
        provider_id=row.provider_id,
        phase=Phase(row.phase),
        on_disconnect=OnDisconnect(row.on_disconnect),
        started_at=row.started_at,
        last_progress_at=row.last_progress_at,
        lease_until=row.lease_until,
        owner_id=OwnerId(row.owner_id),
        owner_epoch=row.owner_epoch,
    )


_LIST: Final = SqlList[LiveTurn](
    columns=ListColumns(
        LIVE_TURN_LIST,
        {
            "turn_id": TurnRow.id,
            "tenant_id": TurnRow.tenant_id,
            "user_id": TurnRow.user_id,
            "chat_id": TurnRow.chat_id,
            "request_id": TurnRow.request_id,
            "effective_model": TurnRow.effective_model,
            "provider_id": TurnRow.provider_id,
            "started_at": TurnRow.started_at,
        },
    ),
    members=_MEMBERS,
    item_of=_live_turn,
)
