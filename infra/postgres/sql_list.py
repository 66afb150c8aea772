"""A list in SQL: what its fields are, what is fetched of a row, and the page that a query asks of it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.filters import condition_count
from domain.pagination import Page, PageQuery
from infra.postgres.filters_sql import holds
from infra.postgres.keyset import Keyset
from infra.postgres.list_columns import ListColumns, Member

T = TypeVar("T")

_MOST_KEPT: Final = 16
"""Conditions of a filter. Of longer ones hardly two are alike, and each that is kept compiled costs up to 2 MB."""


class SqlList(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """`stand_ins` are constants for members that cost something, fetched in their place when nobody looks at them.

    `item_of` gets rows with all of `members`.
    """

    columns: ListColumns
    members: Sequence[Member]
    item_of: Callable[[Any], T]
    stand_ins: Mapping[str, ColumnElement[Any]] = {}

    async def page(self, connection: AsyncConnection, among: ColumnElement[bool], query: PageQuery) -> Page[T]:
        """The page of the rows that `among` holds for. Raises InvalidCursor.

        The count is of the same moment where the transaction has one snapshot.
        """
        if query.filter is not None:
            among = among & holds(query.filter, self.columns)
        keyset = Keyset(columns=self.columns, order=query.order or self.columns.shape.default_order)
        fetched = [self._fetched(member, query) for member in self.members]
        options = _execution(query)
        found = await connection.execute(keyset.beside(select(*fetched).where(among), query), execution_options=options)
        page = keyset.page(found.all(), query, self.item_of)
        if not query.counted:
            return page
        count = await connection.execute(select(func.count()).where(among), execution_options=options)
        return msgspec.structs.replace(page, count=count.scalar_one())

    def _fetched(self, member: Member, query: PageQuery) -> Member:
        name = str(member.key)
        if query.members is None or name in query.members or name not in self.stand_ins:
            return member
        return self.stand_ins[name].label(name)


def _execution(query: PageQuery) -> dict[str, None]:
    kept = query.filter is None or condition_count(query.filter) <= _MOST_KEPT
    return {} if kept else {"compiled_cache": None}
