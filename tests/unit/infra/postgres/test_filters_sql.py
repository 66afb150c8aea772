import pytest
from sqlalchemy import column, select
from sqlalchemy.dialects import postgresql

from api.odata.parser import MAX_LEVELS, parsed_filter
from infra.postgres.filters_sql import holds
from infra.postgres.list_columns import ListColumns
from tests.harness.stack import little_stack
from tests.unit.api.odata.shapes import SHAPE

_COLUMNS = ListColumns(SHAPE, {field.name: column(field.name) for field in SHAPE.fields})


@pytest.mark.parametrize(
    ("nest", "levels"),
    [("not {}", 1), ("({} and key eq 1)", 1), ("(key eq 1 or key eq 2 and {})", 2), ("not ({} or key eq 1)", 2)],
)
def test_the_deepest_filter_leaves_half_the_stack_to_others(nest: str, levels: int) -> None:
    text = "string_or_null eq 'x'"
    for _ in range(MAX_LEVELS // levels):
        text = nest.format(text)
    with little_stack(frames=500):
        select(column("key")).where(holds(parsed_filter(text, SHAPE), _COLUMNS)).compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]
