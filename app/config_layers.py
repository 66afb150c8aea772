"""Where settings come from, laid over one another: file, environment, flags. Later wins, key by key."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TypeAlias

import msgspec

from app.config_schema import MapField, fields_of, leaves_of

PREFIX = "MINI_CHAT_"
CONFIG_FILE_VARIABLE = "MINI_CHAT_CONFIG"

_NOT_SETTINGS = frozenset({CONFIG_FILE_VARIABLE, "MINI_CHAT_OPENAI_MODELS", "MINI_CHAT_ANTHROPIC_MODELS"})
_REFERENCED = re.compile(r"env:(\w+)")
# Kubernetes puts these into every pod beside a service whose name begins with mini-chat.
_SERVICE_LINK = re.compile(r"MINI_CHAT_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_[A-Z]+)?)")


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """A value somebody gave. `is_text` where the source knows nothing but text."""

    value: object
    origin: str
    is_text: bool = False


Tree: TypeAlias = "dict[str, Given | Tree]"


class Mistakes(Exception):
    """Why the process must not start: one line for each mistake, naming the key and where it was given."""

    def __init__(self, lines: tuple[str, ...]) -> None:
        super().__init__(*lines)
        self.lines = lines


def from_file(path: Path) -> Tree:
    """Raises Mistakes when the file cannot be read or is no TOML."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as fault:
        raise Mistakes((f"{path}: {fault.strerror}",)) from None
    except UnicodeDecodeError:
        raise Mistakes((f"{path}: is not UTF-8",)) from None
    except tomllib.TOMLDecodeError as fault:
        raise Mistakes((f"{path}: {fault}",)) from None
    return tree_of(document, path.name)


def tree_of(table: Mapping[str, object], origin: str) -> Tree:
    return {
        key: tree_of(value, origin) if isinstance(value, dict) else Given(value=value, origin=origin)
        for key, value in table.items()
    }


def from_flags(flags: Mapping[str, object]) -> Tree:
    """Flags by dotted key; None stands for a flag nobody gave."""
    tree: Tree = {}
    for key, value in flags.items():
        if value is not None:
            _put(tree, key.split("."), Given(value=value, origin=f"--{key.rpartition('.')[2]}"))
    return tree


def from_environment(env: Mapping[str, str], root: type[msgspec.Struct], below: Tree) -> tuple[Tree, tuple[str, ...]]:
    """What MINI_CHAT_* variables say, and a line for each that names no setting.

    A variable may also hold a secret that a setting, here or in the layers `below`, refers to by `env:NAME`.
    """
    names = {env_name(path): path for path in leaves_of(root)}
    tree: Tree = {}
    unknown = []
    for variable in sorted(name for name in env if name.startswith(PREFIX) and name not in _NOT_SETTINGS):
        path = names.get(variable) or _path_in_map(variable, root)
        if path is not None:
            _put(tree, path, Given(value=env[variable], origin=variable, is_text=True))
        elif not _is_service_link(variable, env[variable]):
            unknown.append(variable)
    referenced = set(_references(tree)) | set(_references(below))
    return tree, tuple(_unknown(name, list(names)) for name in unknown if name not in referenced)


def overlay(below: Tree, above: Tree) -> Tree:
    merged = dict(below)
    for key, value in above.items():
        lower = merged.get(key)
        merged[key] = overlay(lower, value) if isinstance(lower, dict) and isinstance(value, dict) else value
    return merged


def env_name(path: tuple[str, ...]) -> str:
    return PREFIX + "_".join(path).upper()


def _path_in_map(variable: str, root: type[msgspec.Struct]) -> tuple[str, ...] | None:
    """`MINI_CHAT_PROVIDERS__VLLM__BASE_URL` → providers, vllm, base_url."""
    for field in fields_of(root):
        head = f"{env_name((field.name,))}__"
        if not isinstance(field.shape, MapField) or not variable.startswith(head):
            continue
        name, _, rest = variable.removeprefix(head).partition("__")
        inner = {env_name(path): path for path in leaves_of(field.shape.struct)}
        path = inner.get(PREFIX + rest.replace("__", "_"))
        return (field.name, name.lower(), *path) if name and path else None
    return None


def _is_service_link(variable: str, value: str) -> bool:
    is_address = variable.endswith("_PORT") and "://" in value
    return is_address or _SERVICE_LINK.fullmatch(variable) is not None


def _put(tree: Tree, path: tuple[str, ...] | list[str], given: Given) -> None:
    *parents, key = path
    for parent in parents:
        child = tree.setdefault(parent, {})
        if not isinstance(child, dict):
            raise TypeError(f"{parent} is a value, not a table")
        tree = child
    tree[key] = given


def _references(tree: Tree) -> Iterator[str]:
    for value in tree.values():
        if isinstance(value, dict):
            yield from _references(value)
        else:
            yield from _REFERENCED.findall(str(value.value))


def _unknown(variable: str, known: list[str]) -> str:
    close = get_close_matches(variable.removeprefix(PREFIX), [name.removeprefix(PREFIX) for name in known], n=1)
    return f"{variable}: no such setting" + (f"; did you mean {PREFIX}{close[0]}?" if close else "")
