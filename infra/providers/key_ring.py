"""Keys that may change while the process runs (providers-and-files.md 3.2)."""

import logging
from collections.abc import Mapping
from datetime import timedelta
from importlib.metadata import version
from typing import Final

from infra.providers.call_headers import CallHeaders
from infra.providers.secrets import Secret, UnusableReference, is_reference, resolve_for_header
from infra.providers.settings import ProviderSettings

KEYS_REREAD_EVERY: Final = timedelta(seconds=5)

_log = logging.getLogger(__name__)


class KeyRing:
    """The headers of one provider's calls, kept in step with the references they were made from.

    Calls that run keep the key they were made with.
    """

    def __init__(self, provider_id: str, settings: ProviderSettings, env: Mapping[str, str]) -> None:
        """Raises UnusableReference."""
        self._provider_id = provider_id
        self._settings = settings
        self._env = env
        self._known = self._resolved()
        self.headers = CallHeaders(settings, *self._known, f"mini-chat/{version('mini-chat')}")

    def secrets(self) -> list[str]:
        """What must not be seen in any log."""
        key, extra = self._known
        kept = [value for name, value in extra.items() if is_reference(self._settings.extra_headers[name])]
        return [secret.reveal() for secret in (key, *kept) if secret is not None]

    def reread(self) -> None:
        """Blocks while it reads files. What cannot be read leaves everything as it was."""
        try:
            found = self._resolved()
        except UnusableReference:
            _log.warning("provider_key_unreadable", extra={"provider": self._provider_id})
            return
        if _revealed(found) != _revealed(self._known):
            self._known = found
            self.headers.renew(*found)
            _log.info("provider_key_renewed", extra={"provider": self._provider_id})

    def _resolved(self) -> tuple[Secret | None, dict[str, Secret]]:
        settings = self._settings
        key = None if settings.auth.key is None else resolve_for_header(settings.auth.key, self._env)
        extra = {
            name: resolve_for_header(value, self._env) if is_reference(value) else Secret(value)
            for name, value in settings.extra_headers.items()
        }
        return key, extra


def _revealed(known: tuple[Secret | None, dict[str, Secret]]) -> tuple[str | None, dict[str, str]]:
    key, extra = known
    return None if key is None else key.reveal(), {name: value.reveal() for name, value in extra.items()}
