"""Keys by reference: configuration names where a secret is, never the secret itself."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from typing_extensions import override

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}")


class Secret:
    """Prints as `***` wherever it is printed; `reveal()` is the one way to its value."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    @override
    def __repr__(self) -> str:
        return "***"

    def reveal(self) -> str:
        return self._value


class UnusableReference(Exception):
    """A literal, or a reference to nothing usable; what might be a secret in the wrong place is not in the message."""


def is_reference(text: str) -> bool:
    return text.startswith(("env:", "file:"))


def resolve(reference: str, env: Mapping[str, str]) -> Secret:
    """The secret behind `env:NAME` or `file:/path`, without surrounding white space; raises UnusableReference."""
    scheme, _, target = reference.partition(":")
    if scheme == "env" and _VARIABLE.fullmatch(target):
        value = env.get(target, "").strip()
        fault = f"environment variable {target} is not set"
    elif scheme == "file" and target:
        value = _contents(target).strip()
        fault = f"file {target} is empty or cannot be read"
    else:
        raise UnusableReference("must be env:NAME or file:/path, not the secret itself")
    if not value:
        raise UnusableReference(fault)
    return Secret(value)


def resolve_for_header(reference: str, env: Mapping[str, str]) -> Secret:
    """Of one line, as `resolve` does."""
    secret = resolve(reference, env)
    if not secret.reveal().isprintable():
        raise UnusableReference(f"{reference} holds more than one line, or characters that no header can carry")
    return secret


def _contents(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
