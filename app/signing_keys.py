"""The keys of a deployment, which sign cursors and hide ids: from the configuration, or made by a development machine
for itself.
"""

from collections.abc import Mapping

from api.rest.cursor import CursorKeys
from app.config_layers import Mistakes
from app.settings import AuthMode, Settings
from infra.auth.local_secret import local_secret
from infra.providers.secrets import UnusableReference, resolve

MIN_KEY_CHARS = 32
KEY_FILE = "signing-key"


def cursor_keys(settings: Settings, env: Mapping[str, str]) -> CursorKeys:
    """Raises Mistakes for a reference to nothing or to a short key, SecretFileUnusable for a spoiled data folder."""
    current = _key("secrets.signing_key", settings.secrets.signing_key, env)
    if current is None and settings.auth.mode is AuthMode.DEV:
        current = local_secret(settings.data_dir / KEY_FILE)
    if current is None:
        raise Mistakes(("secrets.signing_key: is required when auth.mode is jwt",))
    previous = _key("secrets.previous_signing_key", settings.secrets.previous_signing_key, env)
    return CursorKeys(current=current, previous=previous)


def _key(name: str, reference: str | None, env: Mapping[str, str]) -> bytes | None:
    if reference is None:
        return None
    try:
        value = resolve(reference, env).reveal()
    except UnusableReference as fault:
        raise Mistakes((f"{name}: {fault}",)) from None
    if len(value) < MIN_KEY_CHARS:
        raise Mistakes((f"{name}: must have at least {MIN_KEY_CHARS} characters",))
    return value.encode()
