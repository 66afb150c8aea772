"""The effective configuration as text, for people: what holds, where it came from, and no secret in it."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from enum import Enum
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from app.config_schema import ListField, MapField, SectionField, fields_of
from app.durations import duration_text
from infra.providers.secrets import is_reference

MASK = "***"

_SECRET_TABLES = frozenset({"extra_headers"})
_SECRET_KEYS = frozenset({"key", "signing_key", "previous_signing_key"})


def config_report(settings: msgspec.Struct, origins: Mapping[str, str]) -> str:
    """TOML that could be read again, but for what is masked; a comment names the origin of each given value."""
    return "\n".join(_section(settings, "", "", origins)).strip() + "\n"


def _section(struct: msgspec.Struct, key: str, heading: str, origins: Mapping[str, str]) -> Iterator[str]:
    """A table's own values come before its sub-tables, as TOML demands."""
    if heading:
        yield f"\n{heading}"
    tables: list[Iterator[str]] = []
    for field in fields_of(type(struct)):
        name = f"{key}.{field.name}" if key else field.name
        value = getattr(struct, field.name)
        match field.shape:
            case SectionField():
                tables.append(_section(value, name, f"[{name}]", origins))
            case MapField():
                tables += [_section(entry, f"{name}.{id_}", f"[{name}.{id_}]", origins) for id_, entry in value.items()]
            case ListField():
                tables += [_entry(entry, name, index, origins) for index, entry in enumerate(value)]
            case _:
                yield _line(field.name, value, origins.get(name))
    for table in tables:
        yield from table


def _entry(struct: msgspec.Struct, key: str, index: int, origins: Mapping[str, str]) -> Iterator[str]:
    """One table of an array; its inner tables are written inline, where TOML knows no index."""
    yield f"\n[[{key}]]"
    for field in fields_of(type(struct)):
        value = getattr(struct, field.name)
        yield _line(field.name, value, origins.get(f"{key}[{index}].{field.name}"))


def _line(name: str, value: object, origin: str | None) -> str:
    text = f"# {name} is not set" if value is None else f"{name} = {_literal(name, value)}"
    return f"{text}  # {origin}" if origin else text


def _literal(name: str, value: object) -> str:
    match value:
        case timedelta():
            return f'"{duration_text(value)}"'
        case str() | Path() | Enum():
            return _quoted(_masked(name, str(value)))
        case msgspec.Struct():
            return _literal(name, msgspec.structs.asdict(value))
        case dict():
            given = ((key, item) for key, item in value.items() if item is not None)
            pairs = [f"{_quoted(key)} = {_literal(_inner(name, key), item)}" for key, item in given]
            return "{ " + ", ".join(pairs) + " }" if pairs else "{}"
        case tuple() | list() | frozenset():
            return "[" + ", ".join(_literal(name, item) for item in value) + "]"
        case _:
            return msgspec.json.encode(value).decode()


def _inner(name: str, key: str) -> str:
    return "key" if name in _SECRET_TABLES else key


def _masked(name: str, text: str) -> str:
    if name in _SECRET_KEYS:
        return text if is_reference(text) else MASK
    return _masked_address(text) if "://" in text else text


def _masked_address(text: str) -> str:
    """Without the password, and without the values of a query, which drivers accept passwords in.

    A user without a password is one where databases are, and a secret in the address of a provider.
    """
    try:
        parts = urlsplit(text)
    except ValueError:
        return MASK
    user, at, host = parts.netloc.rpartition("@")
    shown = MASK if parts.scheme in {"http", "https"} else f"{user.partition(':')[0]}:{MASK}"
    netloc = f"{shown}@{host}" if at else host
    return parts._replace(netloc=netloc, query=MASK if parts.query else "").geturl()


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()
