"""The least that a JSON Schema asks for: what a model would send that has nothing to say."""

from collections.abc import Callable, Mapping
from typing import Final

_DEPTH: Final = 16


def minimal_json(schema: object, depth: int = _DEPTH) -> object:
    """A value for the keywords that tools use; null where the schema says nothing or is deeper than 16 levels."""
    if not isinstance(schema, Mapping) or depth == 0:
        return None
    if "const" in schema:
        return schema["const"]
    for choice in ("enum", "anyOf", "oneOf"):
        options = schema.get(choice)
        if isinstance(options, list) and options:
            return options[0] if choice == "enum" else minimal_json(options[0], depth - 1)
    kind = schema.get("type", "object" if "properties" in schema else None)
    kind = kind[0] if isinstance(kind, list) and kind else kind
    make = _BY_TYPE.get(kind) if isinstance(kind, str) else None
    return None if make is None else make(schema, depth - 1)


def _object(schema: Mapping[str, object], depth: int) -> object:
    required, properties = schema.get("required"), schema.get("properties")
    schemas = properties if isinstance(properties, Mapping) else {}
    names = required if isinstance(required, list) else []
    return {name: minimal_json(schemas.get(name), depth) for name in names}


def _array(schema: Mapping[str, object], depth: int) -> object:
    return [minimal_json(schema.get("items"), depth)] * _least(schema, "minItems")


def _string(schema: Mapping[str, object], _: int) -> object:
    return "x" * _least(schema, "minLength")


def _number(schema: Mapping[str, object], _: int) -> object:
    least = schema.get("minimum", 0)
    return least if isinstance(least, (int, float)) else 0


def _least(schema: Mapping[str, object], keyword: str) -> int:
    least = schema.get(keyword, 0)
    return least if isinstance(least, int) else 0


_BY_TYPE: Final[Mapping[str, Callable[[Mapping[str, object], int], object]]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "number": _number,
    "integer": _number,
    "boolean": lambda _schema, _depth: False,
}
