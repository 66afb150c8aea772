"""An upstream together with the real adapter that calls it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from domain.clock import SystemClock
from infra.providers.call_headers import CallHeaders
from infra.providers.driver import HttpProvider, ResponseLimits
from infra.providers.http_pool import HttpPool
from infra.providers.registry import ADAPTERS
from infra.providers.secrets import Secret
from infra.providers.settings import ProviderKind, ProviderSettings
from tests.harness.upstream import Upstream


class ChatUpstream(msgspec.Struct):
    upstream: Upstream
    provider: HttpProvider

    @property
    def acquired(self) -> int:
        """Connections that the pool believes to be in use."""
        session = self.provider.pool._session
        assert session is not None
        assert session.connector is not None
        return len(session.connector._acquired)


@asynccontextmanager
async def chat_upstream(
    *,
    kind: ProviderKind = ProviderKind.OPENAI_CHAT,
    connections: int = 10,
    url: str | None = None,
    allow_private_network: bool = True,
    key: str | None = None,
    **settings: Any,
) -> AsyncIterator[ChatUpstream]:
    async with Upstream() as upstream:
        configured = ProviderSettings(kind=kind, base_url=url or upstream.url, **settings)
        pool = HttpPool(connections=connections, allow_private_network=allow_private_network)
        limits = ResponseLimits(
            max_frame_bytes=configured.largest_frame_bytes, lenient_media_type=configured.lenient_media_type
        )
        adapter = ADAPTERS[kind](
            configured, CallHeaders(configured, Secret(key) if key else None, {}, "mini-chat/test")
        )
        provider = HttpProvider(pool, adapter, SystemClock(), limits)
        pool.open()
        try:
            yield ChatUpstream(upstream, provider)
        finally:
            await pool.close()
