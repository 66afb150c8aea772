import pytest

from infra.providers.adapters.scripted.minimal_json import minimal_json


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, ""),
        ({"type": "string", "minLength": 3}, "xxx"),
        ({"type": "string", "enum": ["low", "high"]}, "low"),
        ({"const": 5}, 5),
        ({"type": "integer", "minimum": 7}, 7),
        ({"type": "number"}, 0),
        ({"type": "boolean"}, False),
        ({"type": "null"}, None),
        ({"type": ["string", "null"]}, ""),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [0, 0]),
        ({"type": "array"}, []),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}]}, False),
        ({"oneOf": [{"type": "string"}]}, ""),
        (
            {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}, "required": ["b"]},
            {"b": 0},
        ),
        ({"properties": {"a": {"type": "array"}}, "required": ["a", "unknown"]}, {"a": [], "unknown": None}),
        ({}, None),
        ({"type": "spaceship"}, None),
        ({"type": []}, None),
        (True, None),
    ],
)
def test_a_schema_is_satisfied_with_as_little_as_it_takes(schema: object, value: object) -> None:
    assert minimal_json(schema) == value


def test_a_schema_without_end_comes_to_one() -> None:
    endless: dict[str, object] = {"type": "object", "required": ["a"]}
    endless["properties"] = {"a": endless}
    assert str(minimal_json(endless)).count("a") == 16
