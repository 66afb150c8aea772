"""Pages of both lists, of the store in memory and of PostgreSQL alike (api.md 2.6)."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias
from uuid import UUID

import pytest

from domain.chats.listing import CHAT_LIST
from domain.chats.models import Chat
from domain.errors import InvalidCursor
from domain.filters import (
    Among,
    And,
    Compare,
    Field,
    Filter,
    Match,
    Matches,
    Not,
    Operand,
    Operator,
    Or,
    OrderKey,
    Value,
)
from domain.ids import ChatId
from domain.messages.models import Message
from domain.pagination import Page, PageQuery, Position, Travel
from domain.scope import AccessScope
from domain.unit_of_work import Access
from tests.contract.store.backends import Store
from tests.contract.store.samples import a_message, chats, create, messages, somebody

Listing: TypeAlias = tuple[list[str], Callable[[int, Position | None], Awaitable[Page[str]]]]
"""The whole list in order, and one page of it, both as ids."""

TIED = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


async def chat_list(store: Store, amount: int) -> Listing:
    """Every three chats share a moment of last activity, so that the id has to decide."""
    ann = somebody()
    found = []
    for number in range(amount):
        chat = await create(store, ann)
        moment = TIED + timedelta(microseconds=number // 3)
        await store.set_activity(ann, chat.id, moment)
        found.append((moment, str(chat.id)))
    await create(store, somebody(in_tenant_of=ann))

    async def page(limit: int, position: Position | None) -> Page[str]:
        return _of_ids(await chats(store, ann, limit, position))

    return [chat_id for _, chat_id in sorted(found, reverse=True)], page


async def message_list(store: Store, amount: int) -> Listing:
    """With gaps, and across the border from one digit to two, where text and numbers sort differently."""
    ann = somebody()
    chat = await create(store, ann)
    said = [a_message(5 + 2 * number) for number in range(amount)]
    for message in reversed(said):
        await store.put_message(ann, chat.id, message)

    async def page(limit: int, position: Position | None) -> Page[str]:
        return _of_ids(await messages(store, ann, chat.id, limit, position))

    return [str(message.id) for message in said], page


def _of_ids(page: Page[Chat] | Page[Message]) -> Page[str]:
    return Page(items=tuple(str(item.id) for item in page.items), next=page.next, previous=page.previous)


LISTS = pytest.mark.parametrize("listing", [chat_list, message_list])
Make: TypeAlias = Callable[[Store, int], Awaitable[Listing]]


@LISTS
@pytest.mark.parametrize(
    ("amount", "limit"), [(0, 1), (1, 1), (7, 1), (7, 2), (7, 3), (6, 3), (7, 7), (7, 8), (7, 100)]
)
async def test_walking_forwards_shows_every_item_once_and_in_order(
    store: Store, listing: Make, amount: int, limit: int
) -> None:
    everything, page = await listing(store, amount)
    seen: list[str] = []
    position = None
    while True:
        step = await page(limit, position)
        assert len(step.items) <= limit
        seen += step.items
        position = step.next
        if position is None:
            break
        assert len(step.items) == limit
        assert len(seen) < amount
    assert seen == everything


@LISTS
@pytest.mark.parametrize("limit", [1, 2, 3, 5])
async def test_walking_back_shows_the_same_items_in_list_order(store: Store, listing: Make, limit: int) -> None:
    everything, page = await listing(store, 7)
    last = await page(100, None)
    assert last.next is None
    forwards = await page(1, None)
    while forwards.next is not None:
        forwards = await page(1, forwards.next)
    assert forwards.items == (everything[-1],)

    seen = list(forwards.items)
    position = forwards.previous
    while position is not None:
        step = await page(limit, position)
        assert step.next is not None
        seen = [*step.items, *seen]
        position = step.previous
    assert seen == everything


@LISTS
async def test_which_edges_have_a_position(store: Store, listing: Make) -> None:
    everything, page = await listing(store, 5)
    first = await page(2, None)
    assert (first.previous, first.next is not None) == (None, True)
    second = await page(2, first.next)
    assert (second.previous is not None, second.next is not None) == (True, True)
    third = await page(2, second.next)
    assert (third.items, third.previous is not None, third.next) == ((everything[4],), True, None)

    back_to_second = await page(2, third.previous)
    assert back_to_second.items == second.items
    assert (back_to_second.previous is not None, back_to_second.next is not None) == (True, True)
    back_to_first = await page(2, back_to_second.previous)
    assert back_to_first.items == first.items
    assert (back_to_first.previous, back_to_first.next is not None) == (None, True)
    assert (await page(2, back_to_first.next)).items == second.items


@LISTS
async def test_beyond_either_end_lies_an_empty_page_with_a_way_back(store: Store, listing: Make) -> None:
    everything, page = await listing(store, 3)
    start = await page(1, None)
    assert start.next is not None
    before = await page(2, Position(keys=start.next.keys, travel=Travel.BACKWARD))
    assert before.items == ()
    assert before.previous is None
    assert before.next is not None
    assert (await page(5, before.next)).items == tuple(everything)

    end = await page(2, None)
    assert end.next is not None
    last = await page(2, end.next)
    assert last.previous is not None
    after = await page(2, Position(keys=last.previous.keys, travel=Travel.FORWARD))
    assert (after.items, after.next) == ((), None)
    assert after.previous is not None
    assert (await page(5, after.previous)).items == tuple(everything)


CHAT_KEYS = (TIED, UUID("01a1f905-61eb-733d-ad6a-0c08d83527ef"))


async def test_keys_name_a_place_even_when_no_row_stands_there(store: Store) -> None:
    ann = somebody()
    chat = await create(store, ann)
    found = await chats(store, ann, 5, Position(keys=CHAT_KEYS, travel=Travel.BACKWARD))
    assert [item.id for item in found.items] == [chat.id]


@pytest.mark.parametrize("travel", Travel)
@pytest.mark.parametrize(
    "keys",
    [
        (),
        (5,),
        (CHAT_KEYS[0],),
        (*CHAT_KEYS, 1),
        (CHAT_KEYS[1], CHAT_KEYS[0]),
        (CHAT_KEYS[0], str(CHAT_KEYS[1])),
        (CHAT_KEYS[0], None),
        ("2026-05-04T03:02:01.000000Z", CHAT_KEYS[1]),
        (TIED.replace(tzinfo=None), CHAT_KEYS[1]),
    ],
)
async def test_keys_of_another_kind_are_refused_by_the_chat_list(
    store: Store, keys: tuple[Value, ...], travel: Travel
) -> None:
    ann = somebody()
    with pytest.raises(InvalidCursor):
        await chats(store, ann, 5, Position(keys=keys, travel=travel))


@pytest.mark.parametrize("travel", Travel)
@pytest.mark.parametrize(
    "keys",
    [
        (),
        CHAT_KEYS,
        ("1",),
        (True,),
        (None,),
        (2**63,),
        (-(2**63) - 1,),
        (1, 2),
    ],
)
async def test_keys_of_another_kind_are_refused_by_the_message_list(
    store: Store, keys: tuple[Value, ...], travel: Travel
) -> None:
    ann = somebody()
    chat_id: ChatId = (await create(store, ann)).id
    with pytest.raises(InvalidCursor):
        await messages(store, ann, chat_id, 5, Position(keys=keys, travel=travel))


async def test_a_position_of_one_owner_shows_another_nothing_of_the_first(store: Store) -> None:
    ann = somebody()
    bob: AccessScope = somebody(in_tenant_of=ann)
    for _ in range(3):
        await create(store, ann)
    hers = await chats(store, ann, 1)
    assert hers.next is not None
    assert (await chats(store, bob, 5, hers.next)).items == ()


def _field(name: str) -> Field:
    field = CHAT_LIST.find(name)
    assert field is not None
    return field


async def _titles(store: Store, ann: AccessScope, query: PageQuery) -> list[str | None]:
    async with store.begin(ann, Access.READ) as tx:
        return [chat.title for chat in (await tx.chats.page(query)).items]


async def test_an_order_may_mix_directions_and_null_is_the_smallest(store: Store) -> None:
    ann = somebody()
    for title in ("b", None, "B", "a"):
        await create(store, ann, title)
    rising, falling = OrderKey(_field("title")), OrderKey(_field("title"), descending=True)
    by_id = OrderKey(_field("id"), descending=True)
    assert await _titles(store, ann, PageQuery(limit=9, order=(rising, by_id))) == [None, "B", "a", "b"]
    assert await _titles(store, ann, PageQuery(limit=9, order=(falling, by_id))) == ["b", "a", "B", None]


TITLE: Final = Operand(_field("title"))
AS_A: Final = Compare(TITLE, Operator.EQ, "a")
ABOVE_A: Final = Compare(TITLE, Operator.GT, "a")


@pytest.mark.parametrize(
    ("term", "found"),
    [
        (AS_A, ["a"]),
        (Not(AS_A), [None, "A", "b"]),
        (Compare(TITLE, Operator.NE, "a"), [None, "A", "b"]),
        (Compare(TITLE, Operator.EQ, None), [None]),
        (Not(Compare(TITLE, Operator.EQ, None)), ["A", "a", "b"]),
        (Among(TITLE, ("a", None)), [None, "a"]),
        (Not(Among(TITLE, ("a", "b"))), [None, "A"]),
        (ABOVE_A, ["b"]),
        (Not(ABOVE_A), ["A", "a"]),
        (Or((ABOVE_A, Compare(TITLE, Operator.EQ, None))), [None, "b"]),
        (Not(And((ABOVE_A, AS_A))), [None, "A", "a", "b"]),
        (Not(Matches(TITLE, Match.CONTAINS, "a")), ["A", "b"]),
        (Matches(TITLE, Match.STARTS, ""), ["A", "a", "b"]),
        (Matches(TITLE, Match.ENDS, "%"), []),
        (Compare(Operand(_field("title"), lowered=True), Operator.EQ, "a"), ["A", "a"]),
    ],
)
async def test_null_is_an_ordinary_value_to_equality_and_unknown_to_the_rest(
    store: Store, term: Filter, found: list[str | None]
) -> None:
    ann = somebody()
    for title in ("b", None, "A", "a"):
        await create(store, ann, title)
    order = (OrderKey(TITLE.field), OrderKey(_field("id")))
    assert await _titles(store, ann, PageQuery(limit=9, order=order, filter=term)) == found


async def test_a_count_says_how_many_the_filter_lets_through_whatever_the_page_shows(store: Store) -> None:
    ann = somebody()
    for title in ("a", "a", "a", "b"):
        await create(store, ann, title)
    async with store.begin(ann, Access.READ) as tx:
        page = await tx.chats.page(PageQuery(limit=2, filter=AS_A, counted=True))
        assert (len(page.items), page.count) == (2, 3)
        beyond = Position(keys=CHAT_KEYS, travel=Travel.FORWARD)
        assert (await tx.chats.page(PageQuery(limit=2, position=beyond, counted=True))).count == 4
