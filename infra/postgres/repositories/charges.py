"""What one user was charged, as the ledger has it."""

from typing import Any, Final

from sqlalchemy import Row, Text, and_, literal_column
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.ids import ChatId, RequestId
from domain.pagination import Page, PageQuery
from domain.quotas.charges import CHARGE_LIST, Charge
from domain.quotas.models import UsageSource
from domain.scope import AccessScope
from infra.postgres.list_columns import ListColumns
from infra.postgres.orm.ledger_entry import LedgerEntryRow
from infra.postgres.scoping import of_tenant
from infra.postgres.sql_list import SqlList

_KIND: Final = literal_column("'turn'", Text())
"""Nothing but turns is charged to users."""


class PostgresCharges:
    """Fills the port Charges."""

    def __init__(self, connection: AsyncConnection, scope: AccessScope) -> None:
        self._connection = connection
        self._scope = scope

    async def page(self, query: PageQuery) -> Page[Charge]:
        shown = and_(
            of_tenant(LedgerEntryRow, self._scope),
            LedgerEntryRow.user_id == self._scope.user_id,
            LedgerEntryRow.kind == literal_column("'settle'"),
            LedgerEntryRow.usage_source != literal_column("'unknown'"),
        )
        return await _LIST.page(self._connection, shown, query)


def _charge(row: Row[*tuple[Any, ...]]) -> Charge:
    return Charge(
        id=str(row.id),
        kind=row.kind,
        chat_id=ChatId(row.chat_id),
        request_id=RequestId(row.request_id),
        model=row.model,
        outcome=row.outcome,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        source=UsageSource(row.source),
        credits_micro=row.credits_micro,
        created_at=row.created_at,
    )


_LIST: Final = SqlList[Charge](
    columns=ListColumns(
        CHARGE_LIST,
        {
            "id": LedgerEntryRow.id,
            "created_at": LedgerEntryRow.created_at,
            "model": LedgerEntryRow.model,
            "kind": _KIND,
            "outcome": LedgerEntryRow.outcome,
            "chat_id": LedgerEntryRow.chat_id,
        },
    ),
    members=(
        LedgerEntryRow.id,
        _KIND.label("kind"),
        LedgerEntryRow.chat_id,
        LedgerEntryRow.request_id,
        LedgerEntryRow.model,
        LedgerEntryRow.outcome,
        LedgerEntryRow.input_tokens,
        LedgerEntryRow.output_tokens,
        LedgerEntryRow.usage_source.label("source"),
        LedgerEntryRow.credits_micro,
        LedgerEntryRow.created_at,
    ),
    item_of=_charge,
)
