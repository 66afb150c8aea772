"""Sums over the ledgers of all tenants: asked as `mini_chat_ops`, which sees what was charged and no more."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Row, Text, and_, cast, func, literal_column, select

from domain.pagination import Page, PageQuery
from domain.quotas.usage_sums import Grouping, UsageSpan, UsageSum
from infra.postgres.connection_pool import ConnectionPool
from infra.postgres.keyset import Keyset
from infra.postgres.list_columns import ListColumns, Member
from infra.postgres.orm.ledger_entry import LedgerEntryRow
from infra.postgres.plain_transactions import OPS, PlainTransactions
from infra.postgres.transaction import TransactionLimits

_DAY: Final[ColumnElement[str]] = func.to_char(
    func.timezone(literal_column("'UTC'"), LedgerEntryRow.created_at), literal_column("'YYYY-MM-DD'"), type_=Text()
)
_MEMBERS: Final[Mapping[Grouping, Member]] = {
    Grouping.TENANT: LedgerEntryRow.tenant_id,
    Grouping.USER: LedgerEntryRow.user_id,
    Grouping.MODEL: LedgerEntryRow.model,
    Grouping.DAY: _DAY,
}
_SUMS: Final = (
    func.count().label("turns"),
    cast(func.sum(LedgerEntryRow.input_tokens), BigInteger()).label("input_tokens"),
    cast(func.sum(LedgerEntryRow.output_tokens), BigInteger()).label("output_tokens"),
    cast(func.sum(LedgerEntryRow.credits_micro), BigInteger()).label("credits_micro"),
)


class PostgresUsageSums:
    """Fills the port UsageSums."""

    def __init__(self, pool: ConnectionPool, limits: TransactionLimits) -> None:
        self._begun = PlainTransactions(pool, limits, "BEGIN READ ONLY", role=OPS)

    async def page(self, span: UsageSpan, query: PageQuery) -> Page[UsageSum]:
        shape, members = span.shape, [_MEMBERS[grouping] for grouping in span.group_by]
        columns = {field.name: member for field, member in zip(shape.fields, members, strict=True)}
        keyset = Keyset(columns=ListColumns(shape, columns), order=shape.default_order)
        keys = [member.label(grouping.value) for grouping, member in zip(span.group_by, members, strict=True)]
        groups = select(*keys, *_SUMS).where(_charged(span)).group_by(*members)
        async with self._begun() as connection:
            found = await connection.execute(keyset.beside(groups, query))
            return keyset.page(found.all(), query, lambda row: _sum(row, span.group_by))


def _charged(span: UsageSpan) -> ColumnElement[bool]:
    return and_(*_conditions(span))


def _conditions(span: UsageSpan) -> Iterator[ColumnElement[bool]]:
    yield LedgerEntryRow.kind == literal_column("'settle'")
    yield LedgerEntryRow.usage_source != literal_column("'unknown'")
    yield LedgerEntryRow.created_at >= span.start
    yield LedgerEntryRow.created_at < span.end
    if span.tenant_id is not None:
        yield LedgerEntryRow.tenant_id == span.tenant_id
    if span.user_id is not None:
        yield LedgerEntryRow.user_id == span.user_id
    if span.model is not None:
        yield LedgerEntryRow.model == span.model


def _sum(row: Row[*tuple[Any, ...]], group_by: tuple[Grouping, ...]) -> UsageSum:
    return UsageSum(
        keys={grouping: str(getattr(row, grouping.value)) for grouping in group_by},
        turns=row.turns,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        credits_micro=row.credits_micro,
    )
