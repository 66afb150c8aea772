"""Text with a meaning, as the OpenAPI document tells it."""

from typing import Annotated, TypeAlias

from msgspec import Meta

Id: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
"""Lower-case with hyphens."""

Moment: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""RFC 3339 UTC with six fractional digits and `Z`, as `utc_text` makes it."""
