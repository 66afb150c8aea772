"""What a request for sums may ask for, and what is refused before anything is summed."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from litestar import Request

from api.rest.cursor import CursorKeys, Cursors
from api.rest.quotas.usage_options import UsageListing
from api.rest.refusals import NotOffered
from domain.errors import InvalidCursor, InvalidLimit, InvalidRequest
from domain.pagination import Page, Position, Travel
from domain.quotas.usage_sums import Grouping, UsageSum
from tests.harness.engine import a_user

WHO = a_user()
CURSORS = Cursors(CursorKeys(current=b"k" * 32))
YEAR = "from=2026-01-01T00:00:00Z&to=2027-01-02T00:00:00Z"
TENANT = UUID("0198c0de-0000-7a01-9d00-1b2c3d4e5f62")


def listing(query: str) -> UsageListing:
    scope: Any = {"type": "http", "path": "/usage", "query_string": query.encode(), "headers": []}
    return UsageListing(Request[Any, Any, Any](scope), CURSORS, WHO)


def cursor_of(asked: UsageListing, *keys: Any) -> str:
    page = Page[UsageSum](items=(), next=Position(keys=keys, travel=Travel.FORWARD))
    cursor = asked.pages.info(page).next_cursor
    assert cursor is not None
    return cursor


def test_tenants_are_summed_over_the_span_unless_something_else_is_asked_for() -> None:
    asked = listing(YEAR)
    assert (asked.span.start, asked.span.end) == (datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 2, tzinfo=UTC))
    assert (asked.span.group_by, asked.query.limit, asked.query.position) == ((Grouping.TENANT,), 20, None)


def test_everything_that_can_be_asked_for_is_understood() -> None:
    span = listing(f"{YEAR}&group_by=day,model&tenant_id={TENANT}&user_id={TENANT}&model=m").span
    assert span.group_by == (Grouping.DAY, Grouping.MODEL)
    assert (span.tenant_id, span.user_id, span.model) == (TENANT, TENANT, "m")


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("", "from", "required"),
        ("from=2026-01-01", "to", "required"),
        ("from=soon&to=2026-01-01", "from", "type"),
        ("from=2026-01-01T00:00:00&to=2026-01-02", "from", "type"),
        ("from=2026-01-01&to=2026-01-01", "to", "out_of_range"),
        ("from=2026-01-02&to=2026-01-01", "to", "out_of_range"),
        ("from=2026-01-01&to=2027-01-02T00:00:00.000001Z", "to", "out_of_range"),
        (f"{YEAR}&group_by=", "group_by", "invalid_value"),
        (f"{YEAR}&group_by=tenant,%20user", "group_by", "invalid_value"),
        (f"{YEAR}&group_by=day,day", "group_by", "duplicate"),
        (f"{YEAR}&tenant_id=acme", "tenant_id", "invalid_uuid"),
        (f"{YEAR}&user_id=", "user_id", "invalid_uuid"),
        (f"{YEAR}&model=", "model", "invalid_value"),
        (f"{YEAR}&to=2026-02-01", "to", "duplicate"),
        (f"{YEAR}&model=%00", "query", "invalid_value"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_name(query: str, field: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        listing(query)
    assert [(fault.field, fault.code) for fault in refused.value.faults] == [(field, code)]


def test_a_limit_below_one_and_what_other_lists_offer_are_refused() -> None:
    with pytest.raises(InvalidLimit):
        listing(f"{YEAR}&limit=0")
    for option in ("$filter", "$orderby", "$select", "$count"):
        with pytest.raises(NotOffered):
            listing(f"{YEAR}&{option}=true")


def test_a_cursor_holds_for_the_very_groups_it_was_made_for_however_they_are_written() -> None:
    cursor = cursor_of(listing(YEAR), TENANT)
    same = listing(f"from=2026-01-01T01:00:00{quote('+')}01:00&to=2027-01-02&group_by=tenant&limit=3&cursor={cursor}")
    assert same.query.position == Position(keys=(TENANT,), travel=Travel.FORWARD)
    for other in (
        YEAR.replace("2027-01-02", "2027-01-01"),
        f"{YEAR}&group_by=user",
        f"{YEAR}&tenant_id={TENANT}",
        f"{YEAR}&user_id={TENANT}",
        f"{YEAR}&model=m",
    ):
        with pytest.raises(InvalidCursor):
            listing(f"{other}&cursor={cursor}")
