from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.odata.parser import MAX_LEVELS, parsed_filter
from domain.errors import InvalidFilter, InvalidRequest
from domain.filters import Filter
from tests.harness.filters import filters, printed
from tests.harness.stack import little_stack
from tests.unit.api.odata.shapes import SHAPE

_TREES = filters(SHAPE)


@given(_TREES)
def test_a_printed_filter_is_read_as_the_same_tree(tree: Filter) -> None:
    assert parsed_filter(printed(tree), SHAPE) == tree


@given(st.text(max_size=60) | st.text("()',nottrue eqin1-Zkysrg_fld", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(InvalidFilter, InvalidRequest):
        parsed_filter(text, SHAPE)


@given(_TREES, st.data())
def test_a_filter_with_a_slip_is_read_or_refused(tree: Filter, data: st.DataObject) -> None:
    text = printed(tree)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 4)))
    slip = data.draw(st.sampled_from(["", "(", ")", "'", "''", ",", " ", "not ", " and ", "/", "\u00a0", "null", "\0"]))
    with suppress(InvalidFilter, InvalidRequest):
        parsed_filter(text[:start] + slip + text[end:], SHAPE)


@pytest.mark.parametrize("opening", ["(", "not "])
def test_depth_costs_no_stack(opening: str) -> None:
    text = opening * MAX_LEVELS + "key eq 1" + ")" * (MAX_LEVELS if opening == "(" else 0)
    with little_stack(frames=20):
        parsed_filter(text, SHAPE)
