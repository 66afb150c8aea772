"""What becomes of the metadata of a chat under a merge patch."""

import pytest

from domain.chats.metadata import MAX_MEMBERS, merged
from domain.errors import InvalidRequest

FULL = {str(number): "x" for number in range(MAX_MEMBERS)}


@pytest.mark.parametrize(
    ("metadata", "patch", "result"),
    [
        ({}, {}, {}),
        ({"a": "1"}, {}, {"a": "1"}),
        ({"a": "1"}, {"b": "2"}, {"a": "1", "b": "2"}),
        ({"a": "1", "b": "2"}, {"a": "3"}, {"a": "3", "b": "2"}),
        ({"a": "1", "b": "2"}, {"a": None}, {"b": "2"}),
        ({"a": "1"}, {"b": None}, {"a": "1"}),
        ({"a": "1"}, {"a": ""}, {"a": ""}),
        ({"a": "1"}, {"A": None}, {"a": "1"}),
        (FULL, {"0": None, "16": "x"}, {**{name: "x" for name in FULL if name != "0"}, "16": "x"}),
        (FULL, dict.fromkeys(FULL), {}),
        (FULL, {"0": "y", "unknown": None}, {**FULL, "0": "y"}),
    ],
)
def test_a_patch_sets_what_it_names_and_null_removes(
    metadata: dict[str, str], patch: dict[str, str | None], result: dict[str, str]
) -> None:
    before = dict(metadata)
    assert merged(metadata, patch) == result
    assert metadata == before


def test_the_bound_holds_for_the_result() -> None:
    with pytest.raises(InvalidRequest) as refused:
        merged(FULL, {"one more": ""})
    (fault,) = refused.value.faults
    assert (fault.field, fault.code) == ("metadata", "too_long")
