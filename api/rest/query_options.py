"""Options in the query string of a route that is no list; names nobody knows are ignored (api.md 1.3)."""

import re
from typing import Any, Final

from litestar import Request

from api.rest.list_options import flag_of
from api.rest.list_spec import OwnOption
from api.rest.query_string import pairs_of
from domain.errors import InvalidRequest

DRY_RUN: Final = OwnOption(
    name="dry_run", description="Changes nothing and tells what would happen.", schema={"type": "boolean"}
)
EXPECTED_VERSION: Final = OwnOption(
    name="expected_version",
    description="Refused with `version_conflict` unless this is the present version; 0: must not exist.",
    schema={"type": "integer", "minimum": 0},
)

_NUMBER: Final = re.compile(r"[0-9]{1,15}", re.ASCII)


def dry_run_of(request: Request[Any, Any, Any]) -> bool:
    """Raises InvalidRequest."""
    text = _text(request, DRY_RUN.name)
    return flag_of({} if text is None else {DRY_RUN.name: text}, DRY_RUN.name)


def expected_version_of(request: Request[Any, Any, Any]) -> int | None:
    """Raises InvalidRequest."""
    text = _text(request, EXPECTED_VERSION.name)
    if text is None:
        return None
    if not _NUMBER.fullmatch(text):
        raise InvalidRequest.of(EXPECTED_VERSION.name, "This is not a version.", "type")
    return int(text)


def _text(request: Request[Any, Any, Any], name: str) -> str | None:
    values = [value for key, value in pairs_of(request.scope["query_string"]) if key == name]
    if len(values) > 1:
        raise InvalidRequest.of(name, "This is given twice.", "duplicate")
    return values[0] if values else None
