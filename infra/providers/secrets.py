"""Keys by reference: configuration names where a secret is, never the secret itself."""

from collections.abc import Mapping
from pathlib import Path

from typing_extensions import override


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
    """A literal, or a reference to nothing; the message names the reference's kind and never echoes a literal."""


def is_reference(text: str) -> bool:
    return text.startswith(("env:", "file:"))


def resolve(reference: str, env: Mapping[str, str]) -> Secret:
    """The secret behind `env:NAME` or `file:/path`, without surrounding white space; raises UnusableReference."""
    scheme, _, target = reference.partition(":")
    if scheme == "env":
        value = env.get(target, "")
        fault = f"environment variable {target} is not set"
    elif scheme == "file":
        value = _contents(target)
        fault = f"file {target} is empty or cannot be read"
    else:
        raise UnusableReference("must be env:NAME or file:/path, not the secret itself")
    if not value.strip():
        raise UnusableReference(fault)
    return Secret(value.strip())


def _contents(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
