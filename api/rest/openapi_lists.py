"""The query parameters of a list in the OpenAPI document, made from what the list declares."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from api.odata.lists import MAX_ORDER_CHARACTERS, MAX_ORDER_KEYS, MAX_SELECTED, MAX_SELECTION_CHARACTERS
from api.odata.parser import MAX_BYTES
from api.rest.cursor import MAX_LENGTH
from api.rest.list_links import order_text
from api.rest.list_options import DEFAULT_LIMIT, MAX_LIMIT
from api.rest.list_spec import ListSpec, OwnOption
from domain.filters import Field, Kind, ListShape

_EXAMPLES: Final[Mapping[Kind, str]] = {
    Kind.STRING: "contains({name},'tide')",
    Kind.UUID: "{name} eq 0198c0de-79f0-7a01-9d00-1b2c3d4e5f60",
    Kind.TIME: "{name} ge 2026-03-01T00:00:00Z",
    Kind.INTEGER: "{name} gt 10",
    Kind.BOOL: "{name} eq true",
}


def list_parameters(spec: ListSpec[Any]) -> list[dict[str, Any]]:
    return [
        *_paging(),
        _filter(spec.shape),
        _order(spec.shape),
        _selection(spec),
        _parameter(
            "$count",
            "`true` adds `count`: how many items the filter lets through, pages aside.",
            {"type": "string", "enum": ["true", "false"], "default": "false"},
        ),
        *option_parameters(spec.own.options),
    ]


def option_parameters(options: Iterable[OwnOption]) -> list[dict[str, Any]]:
    return [
        _parameter(option.name, option.description, option.schema) | ({"required": True} if option.required else {})
        for option in options
    ]


def _paging() -> Iterator[dict[str, Any]]:
    size = {"type": "integer", "minimum": 1}
    lowered = f"above {MAX_LIMIT} it is lowered to {MAX_LIMIT}"
    yield _parameter("limit", f"Page size; {lowered}.", size | {"default": DEFAULT_LIMIT})
    yield _parameter("$top", "Another name of `limit`; both together must agree.", size)
    yield _parameter(
        "cursor",
        "A position from `page_info` of an earlier page. It brings the order along, so `$orderby` is left out; "
        "`$filter` and what else decides the rows is sent again unchanged.",
        {"type": "string", "maxLength": MAX_LENGTH},
    )


def _filter(shape: ListShape) -> dict[str, Any]:
    description = (
        "Only the items for which this is true: a field compared by `eq`, `ne`, `gt`, `ge`, `lt`, `le` or `in` with a "
        "literal; `contains`, `startswith`, `endswith` and `tolower` for strings; `and`, `or`, `not` and parentheses. "
        f"At most {MAX_BYTES} bytes of UTF-8. Fields: {', '.join(map(_told, shape.fields))}."
    )
    shown = [field for field in shape.fields if field != shape.unique and field.kind is not Kind.UUID][:2]
    example = " and ".join(_EXAMPLES[field.kind].format(name=field.name) for field in shown)
    return _parameter("$filter", description, {"type": "string", "maxLength": MAX_BYTES}) | {"example": example}


def _order(shape: ListShape) -> dict[str, Any]:
    description = (
        f"Up to {MAX_ORDER_KEYS} fields with `asc` or `desc`, between commas. Null is the smallest value; "
        f"`{shape.unique.name}` decides between equal ones. Fields as for `$filter`."
    )
    schema = {"type": "string", "maxLength": MAX_ORDER_CHARACTERS, "default": order_text(shape.default_order)}
    return _parameter("$orderby", description, schema)


def _selection(spec: ListSpec[Any]) -> dict[str, Any]:
    names = sorted(spec.members)
    description = (
        f"Names of members between commas, or `*` for all: an item then has only these and `{spec.always}`, though the "
        f"schema requires others. At most {MAX_SELECTED} of: {', '.join(f'`{name}`' for name in names)}."
    )
    schema = {"type": "string", "maxLength": MAX_SELECTION_CHARACTERS, "default": "*"}
    example = ",".join([spec.always, *(name for name in names if name != spec.always)][:3])
    return _parameter("$select", description, schema) | {"example": example}


def _told(field: Field) -> str:
    return f"`{field.name}` ({field.kind.value}{', may be null' if field.nullable else ''})"


def _parameter(name: str, description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}
