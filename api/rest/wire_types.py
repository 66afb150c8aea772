"""Text with a meaning, as the OpenAPI document tells it, and members that are left out."""

from typing import Annotated, TypeAlias, TypeVar

from msgspec import UNSET, Meta, UnsetType

T = TypeVar("T")

Id: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
"""Lower-case with hyphens."""

Moment: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""RFC 3339 UTC with six fractional digits and `Z`, as `utc_text` makes it."""


Day: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "date"})]
"""`YYYY-MM-DD`, as a calendar on the wall has it."""


def present(value: T | None) -> T | UnsetType:
    """What has no value is left out of an answer, never null."""
    return UNSET if value is None else value


def given(value: T | UnsetType) -> T | None:
    """What was left out of a request has no value."""
    return None if value is UNSET else value
