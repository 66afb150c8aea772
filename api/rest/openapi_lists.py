"""The query parameters of a list in the OpenAPI document, made from what the list declares."""

from collections.abc import Mapping
from typing import Any

from api.rest.cursor import MAX_LENGTH
from api.rest.list_options import DEFAULT_LIMIT, MAX_LIMIT
from api.rest.list_spec import ListSpec


def list_parameters(spec: ListSpec[Any]) -> list[dict[str, Any]]:
    limit = {"type": "integer", "minimum": 1, "default": DEFAULT_LIMIT}
    cursor = {"type": "string", "maxLength": MAX_LENGTH}
    return [
        _parameter("limit", f"Page size; above {MAX_LIMIT} it is lowered to {MAX_LIMIT}. `$top` is an alias.", limit),
        _parameter("cursor", "A position from `page_info` of an earlier page.", cursor),
        *(_parameter(option.name, option.description, option.schema) for option in spec.own.options),
    ]


def _parameter(name: str, description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}
