"""Where an issuer's keys come from: its JWKS address, or a file."""

import logging
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path

import aiohttp
import anyio

from infra.auth.keys import KeyRing, UnreadableKeys, read_key_ring

MAX_DOCUMENT_BYTES = 256 * 1024

_log = logging.getLogger(__name__)


class JwksAddress:
    def __init__(self, url: str, deadline: timedelta) -> None:
        self._url, self._deadline = url, deadline

    async def load(self) -> KeyRing | None:
        """None when the keys could not be had within the deadline; the reason is in the log."""
        try:
            with anyio.fail_after(self._deadline.total_seconds()):
                return read_key_ring(await self._fetch())
        except (aiohttp.ClientError, OSError, TimeoutError, UnreadableKeys) as fault:
            _log.warning("jwks not loaded", extra={"error_type": type(fault).__name__})
            return None

    async def _fetch(self) -> bytes:
        """Follows no redirect, obeys no proxy variable and reads no more than the bound."""
        timeout = aiohttp.ClientTimeout(total=self._deadline.total_seconds())
        headers = {"Accept": "application/jwk-set+json, application/json", "Accept-Encoding": "identity"}
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers, auto_decompress=False, trust_env=False) as session,
            session.get(self._url, allow_redirects=False) as response,
        ):
            if response.status != HTTPStatus.OK:
                raise UnreadableKeys("was not answered with 200")
            document = bytearray()
            async for chunk in response.content.iter_any():
                document += chunk
                if len(document) > MAX_DOCUMENT_BYTES:
                    raise UnreadableKeys("is too large")
            return bytes(document)


class KeyFile:
    def __init__(self, path: Path) -> None:
        self._path = anyio.Path(path)

    async def load(self) -> KeyRing | None:
        """None when the file cannot be read or holds no usable key; the reason is in the log."""
        try:
            return read_key_ring(await self._path.read_bytes())
        except (OSError, UnreadableKeys) as fault:
            _log.warning("key file not loaded", extra={"error_type": type(fault).__name__})
            return None
