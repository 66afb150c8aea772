"""Pages show what the definition of the list says: every row that the filter is true of, in order, once.

The judge is the plain Python of `tests/fakes`. TESTS_LIST_RUNS makes it longer than CI has time for.
"""

import os
from typing import Any, Final
from uuid import UUID

import pytest
from msgspec.structs import replace

from domain.pagination import PageQuery, Position, Travel
from tests.harness.chance import seeded
from tests.harness.postgres import Database
from tests.integration.lists.random_queries import a_filter, an_order
from tests.integration.lists.shelves import ChatShelf, MessageShelf, Shelf, shelf

RUNS: Final = int(os.environ.get("TESTS_LIST_RUNS", "150"))

SHELVES = pytest.mark.parametrize("kind", [ChatShelf, MessageShelf])


class Walk:
    """Pages one after the other, and what was seen on them."""

    def __init__(self, among: Shelf[Any], query: PageQuery) -> None:
        self.pages = 0
        self.counts: set[int | None] = set()
        self._among = among
        self._query = query

    async def forwards(self) -> tuple[list[UUID], Position | None]:
        """To the end, and the way back from there."""
        seen: list[UUID] = []
        back: Position | None = None
        query = replace(self._query, counted=True)
        while True:
            page = await self._among.page(query)
            self.pages += 1
            assert len(page.items) <= query.limit
            self.counts.add(page.count)
            seen += [item.id for item in page.items]
            back = page.previous
            if page.next is None:
                return seen, back
            query = replace(query, position=page.next)

    async def backwards(self, position: Position | None) -> list[UUID]:
        seen: list[UUID] = []
        while position is not None:
            page = await self._among.page(replace(self._query, position=position))
            self.pages += 1
            assert page.count is None
            assert page.next is not None
            seen = [item.id for item in page.items] + seen
            position = page.previous
        return seen


def a_query(among: Shelf[Any]) -> PageQuery:
    chance = among.chance
    filtered = chance.random() < 0.8
    return PageQuery(
        limit=chance.choice((1, 2, 3, 5, 8, 13, 40)),
        order=an_order(chance, among.shape) if chance.random() < 0.9 else (),
        filter=a_filter(chance, among.shape, list(among.items)) if filtered else None,
    )


def expected(among: Shelf[Any], query: PageQuery) -> list[UUID]:
    everything = replace(query, limit=len(among.items) + 1)
    return [item.id for item in among.by_definition.page(among.items.values(), everything).items]


@pytest.mark.timeout(120)
@SHELVES
async def test_pages_show_exactly_the_rows_of_the_definition_both_ways(
    database: Database, kind: type[Shelf[Any]]
) -> None:
    pages = rows = 0
    async with shelf(kind, database, seeded("pages against the definition")) as among:
        await among.put(30)
        await among.put_strangers()
        for _ in range(RUNS):
            query = a_query(among)
            walk = Walk(among, query)
            wanted = expected(among, query)
            seen, back = await walk.forwards()
            assert seen == wanted, query
            assert walk.counts == {len(wanted)}, query
            last = len(wanted) % query.limit or query.limit
            if back is not None:
                assert await walk.backwards(back) == wanted[:-last], query
            pages, rows = pages + walk.pages, rows + len(wanted)
    print(f"{kind.table}: {RUNS} lists, {pages} pages, {rows} rows expected and seen both ways")  # noqa: T201


@pytest.mark.timeout(120)
@SHELVES
async def test_whoever_stays_is_seen_once_while_others_come_and_go(database: Database, kind: type[Shelf[Any]]) -> None:
    pages = rows = 0
    async with shelf(kind, database, seeded("pages while rows come and go")) as among:
        for _ in range(RUNS // 5):
            await among.put(30 - len(among.items))
            query = replace(a_query(among), limit=among.chance.choice((1, 2, 5)))
            before = expected(among, query)
            seen: list[UUID] = []
            position: Position | None = None
            while True:
                page = await among.page(replace(query, position=position))
                pages += 1
                seen += [item.id for item in page.items]
                position = page.next
                if position is None:
                    break
                await among.delete(among.chance.choice((0, 1, 2)))
                await among.put(among.chance.choice((0, 1)))
            stayed = [item for item in before if item in among.items]
            assert [item for item in seen if item in set(stayed)] == stayed, query
            assert len(seen) == len(set(seen)), query
            rows += len(stayed)
    print(f"{kind.table}: {pages} pages between which rows came and went, {rows} rows that stayed seen once")  # noqa: T201


@pytest.mark.timeout(120)
@SHELVES
async def test_a_page_beside_any_row_is_that_of_the_definition_also_when_the_row_is_part_of_it(
    database: Database, kind: type[Shelf[Any]]
) -> None:
    async with shelf(kind, database, seeded("pages beside any row")) as among:
        await among.put(12)
        for _ in range(RUNS):
            query = a_query(among)
            order = query.order or among.shape.default_order
            beside = among.chance.choice(list(among.items.values()))
            position = Position(
                keys=tuple(getattr(beside, key.field.name) for key in order),
                travel=among.chance.choice(list(Travel)),
                including=among.chance.random() < 0.5,
            )
            query = replace(query, position=position)
            found, wanted = await among.page(query), among.by_definition.page(among.items.values(), query)
            assert [item.id for item in found.items] == [item.id for item in wanted.items], query
            assert (found.next, found.previous) == (wanted.next, wanted.previous), query
