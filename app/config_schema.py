"""The shape of the settings, read off the struct types themselves: which keys exist, and of what kind each is."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cache
from typing import Annotated, Any, TypeAlias, get_args, get_origin

import msgspec

from app.durations import Between


class SectionField(msgspec.Struct, frozen=True):
    """A table with known keys."""

    struct: type[msgspec.Struct]


class MapField(msgspec.Struct, frozen=True):
    """A table of tables under names of the operator's choice."""

    struct: type[msgspec.Struct]


class ListField(msgspec.Struct, frozen=True):
    """An array of tables."""

    struct: type[msgspec.Struct]


class DurationField(msgspec.Struct, frozen=True):
    range: Between | None


class ValueField(msgspec.Struct, frozen=True):
    """Anything msgspec converts by itself."""

    type: Any
    is_optional: bool
    is_collection: bool


Shape: TypeAlias = SectionField | MapField | ListField | DurationField | ValueField


class Field(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    shape: Shape
    is_required: bool


@cache
def fields_of(struct: type[msgspec.Struct]) -> tuple[Field, ...]:
    return tuple(
        Field(name=field.name, shape=_shape(field.type), is_required=field.required)
        for field in msgspec.structs.fields(struct)
    )


def leaves_of(struct: type[msgspec.Struct], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every key that takes a value, arrays of tables included, names inside maps excluded."""
    for field in fields_of(struct):
        path = (*prefix, field.name)
        match field.shape:
            case SectionField(inner):
                yield from leaves_of(inner, path)
            case MapField():
                pass
            case _:
                yield path


def _shape(annotation: Any) -> Shape:
    base, notes = _unwrapped(annotation)
    if _is_struct(base):
        return SectionField(base)
    if base is timedelta:
        return DurationField(next((note for note in notes if isinstance(note, Between)), None))
    match get_origin(base), get_args(base):
        case origin, (_, value) if origin in {dict, Mapping} and _is_struct(value):
            return MapField(value)
        case origin, (item, *_) if origin in {tuple, list} and _is_struct(item):
            return ListField(item)
        case origin, arguments:
            return ValueField(
                annotation,
                is_optional=type(None) in arguments,
                is_collection=origin in {tuple, list, frozenset, dict},
            )


def _unwrapped(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    if get_origin(annotation) is Annotated:
        base, *notes = get_args(annotation)
        return base, tuple(notes)
    return annotation, ()


def _is_struct(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, msgspec.Struct)
