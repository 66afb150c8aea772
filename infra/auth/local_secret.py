"""Secrets that a development machine makes for itself and keeps beside its data."""

import os
import secrets
from pathlib import Path

SECRET_BYTES = 32


class SecretFileUnusable(Exception):
    """The text names the file."""


def local_secret(path: Path) -> bytes:
    """The secret in this file, made on first use and readable by its owner alone.

    Processes that start together agree on one. Raises SecretFileUnusable for a file that cannot be
    read or written, or is no secret of ours.
    """
    try:
        if not path.exists():
            _create(path)
        secret = bytes.fromhex(path.read_text("ascii"))
    except (OSError, ValueError) as fault:
        raise SecretFileUnusable(
            f"{path}: {fault.strerror if isinstance(fault, OSError) else 'not a secret'}"
        ) from None
    if len(secret) != SECRET_BYTES:
        raise SecretFileUnusable(f"{path}: not a secret")
    return secret


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(SECRET_BYTES))
        # A link, unlike a rename, lets the first of two processes win and never shows a half-written file.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
