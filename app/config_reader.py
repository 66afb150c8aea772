"""From what was given to a frozen settings tree, or to the complete list of what is wrong with it."""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from app.config_layers import Given, Mistakes, Tree, tree_of
from app.config_schema import DurationField, Field, ListField, MapField, SectionField, Shape, ValueField, fields_of
from app.durations import duration, duration_text

S = TypeVar("S", bound=msgspec.Struct)


class Contradiction(ValueError):
    """Values that are each in range and do not go together: (key relative to the struct, what is wrong)."""

    def __init__(self, faults: Iterable[tuple[str, str]]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{key}: {text}" for key, text in self.faults))


def agree(*rules: tuple[bool, str, str]) -> None:
    """Raises Contradiction with every rule (holds, key, what must hold) that does not."""
    broken = [(key, text) for holds, key, text in rules if not holds]
    if broken:
        raise Contradiction(broken)


class _Unreadable(Exception):
    """A value that cannot be had; why is already noted."""


class Read(msgspec.Struct, frozen=True):
    """A struct, and for every key that somebody gave a value where it came from."""

    struct: Any
    origins: dict[str, str]


def read(struct: type[msgspec.Struct], tree: Tree, known_mistakes: tuple[str, ...] = ()) -> Read:
    """Raises Mistakes with all that is wrong: unknown and missing keys, wrong types, ranges and combinations."""
    reader = _Reader()
    try:
        value = reader.section(struct, tree, "")
    except _Unreadable:
        raise Mistakes((*known_mistakes, *reader.mistakes)) from None
    if known_mistakes:
        raise Mistakes(known_mistakes)
    return Read(value, reader.origins)


class _Reader:
    def __init__(self) -> None:
        self.mistakes: list[str] = []
        self.origins: dict[str, str] = {}

    def section(self, struct: type[S], tree: Tree, key: str) -> S:
        known = {field.name: field for field in fields_of(struct)}
        values: dict[str, object] = {}
        faults_before = len(self.mistakes)
        for name in sorted(tree.keys() - known.keys()):
            self._note_unknown(_join(key, name), tree[name], [_join(key, other) for other in known])
        for name, field in known.items():
            try:
                self._field(field, tree.get(name), _join(key, name), values)
            except _Unreadable:
                continue
        if len(self.mistakes) > faults_before:
            raise _Unreadable
        return self._build(struct, values, key)

    def _field(self, field: Field, given: "Given | Tree | None", key: str, values: dict[str, object]) -> None:
        if given is not None:
            values[field.name] = self._value(field.shape, given, key)
        elif field.is_required:
            raise self._refused(key, None, "is required")

    def _value(self, shape: Shape, given: "Given | Tree", key: str) -> object:
        match shape:
            case SectionField(struct):
                return self.section(struct, self._table(given, key), key)
            case MapField(struct):
                return self._map(struct, self._table(given, key), key)
            case ListField(struct):
                return self._list(struct, given, key)
            case DurationField():
                return self._duration(shape, self._single(given, key), key)
            case ValueField():
                return self._plain(shape, given, key)

    def _map(self, struct: type[S], tree: Tree, key: str) -> dict[str, S]:
        values, unreadable = {}, False
        for name, entry in tree.items():
            try:
                values[name] = self.section(struct, self._table(entry, _join(key, name)), _join(key, name))
            except _Unreadable:
                unreadable = True
        if unreadable:
            raise _Unreadable
        return values

    def _list(self, struct: type[S], given: "Given | Tree", key: str) -> tuple[S, ...]:
        single = self._single(given, key)
        entries = self._from_json(single, key) if single.is_text else single.value
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise self._refused(key, single.origin, "expected an array of tables")
        values, unreadable = [], False
        for index, entry in enumerate(entries):
            try:
                values.append(self.section(struct, tree_of(entry, single.origin), f"{key}[{index}]"))
            except _Unreadable:
                unreadable = True
        if unreadable:
            raise _Unreadable
        self.origins[key] = single.origin
        return tuple(values)

    def _duration(self, field: DurationField, given: Given, key: str) -> object:
        try:
            span = duration(given.value if isinstance(given.value, str) else "")
        except ValueError as fault:
            raise self._refused(key, given.origin, str(fault)) from None
        limits = field.range
        if limits is not None and not limits.shortest <= span <= limits.longest:
            ends = f"{duration_text(limits.shortest)} to {duration_text(limits.longest)}"
            raise self._refused(key, given.origin, f"expected a duration from {ends}")
        self.origins[key] = given.origin
        return span

    def _plain(self, field: ValueField, given: "Given | Tree", key: str) -> object:
        origin = _origin(given)
        try:
            value = msgspec.convert(
                self._raw(field, given, key), field.type, strict=not _is_text(given), dec_hook=_path
            )
        except msgspec.ValidationError as fault:
            raise self._refused(key, origin, _sentence(fault)) from None
        self.origins[key] = origin
        return value

    def _raw(self, field: ValueField, given: "Given | Tree", key: str) -> object:
        """The value as TOML would have given it. In a variable, words stand between commas and tables are JSON."""
        if isinstance(given, dict):
            return _plain_tree(given)
        if not given.is_text or not isinstance(given.value, str):
            return given.value
        if field.is_optional and not given.value:
            return None
        if field.is_collection:
            if given.value.lstrip().startswith(("[", "{")):
                return self._from_json(given, key)
            return [word.strip() for word in given.value.split(",") if word.strip()]
        return given.value

    def _from_json(self, given: Given, key: str) -> object:
        try:
            return msgspec.json.decode(str(given.value))
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            raise self._refused(key, given.origin, "expected JSON") from None

    def _table(self, given: "Given | Tree", key: str) -> Tree:
        if isinstance(given, dict):
            return given
        raise self._refused(key, given.origin, "expected a table")

    def _single(self, given: "Given | Tree", key: str) -> Given:
        if isinstance(given, Given):
            return given
        raise self._refused(key, _origin(given), "expected a value, not a table")

    def _build(self, struct: type[S], values: dict[str, object], key: str) -> S:
        try:
            return struct(**values)
        except Contradiction as contradiction:
            for name, text in contradiction.faults:
                self._note(_join(key, name), self.origins.get(_join(key, name)), text)
        except ValueError as fault:
            self._note(key, None, str(fault))
        raise _Unreadable

    def _note_unknown(self, key: str, given: "Given | Tree", known: list[str]) -> None:
        close = get_close_matches(key, known, n=1)
        self._note(key, _origin(given), "no such key" + (f"; did you mean {close[0]}?" if close else ""))

    def _note(self, key: str, origin: str | None, text: str) -> None:
        self.mistakes.append(f"{key} ({origin}): {text}" if origin else f"{key}: {text}")

    def _refused(self, key: str, origin: str | None, text: str) -> _Unreadable:
        self._note(key, origin, text)
        return _Unreadable()


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _origin(given: "Given | Tree") -> str:
    while isinstance(given, dict):
        given = next(iter(given.values()), Given(value=None, origin="empty table"))
    return given.origin


def _is_text(given: "Given | Tree") -> bool:
    return isinstance(given, Given) and given.is_text


def _plain_tree(tree: Tree) -> dict[str, object]:
    return {key: _plain_tree(value) if isinstance(value, dict) else value.value for key, value in tree.items()}


def _path(kind: type, value: object) -> object:
    """What msgspec leaves to us: paths, and values that may be anything."""
    if kind is object:
        return value
    if kind is Path and isinstance(value, str) and value:
        return Path(value)
    raise ValueError("expected a path")


def _sentence(fault: msgspec.ValidationError) -> str:
    text = str(fault).partition(" - at ")[0].replace("`", "")
    return text[:1].lower() + text[1:]
