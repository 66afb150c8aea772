"""All configured providers, built closed and opened together."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from domain.clock import Clock
from domain.providers.ports import Provider
from domain.telemetry.ports import SilentTelemetry, Telemetry
from infra.providers.adapter import Adapter
from infra.providers.adapters.anthropic.request import Anthropic
from infra.providers.adapters.inference_http.request import InferenceHttp
from infra.providers.adapters.openai_chat.request import OpenAiChat
from infra.providers.adapters.openai_responses.request import OpenAiResponses
from infra.providers.adapters.scripted.adapter import ScriptedProvider
from infra.providers.adapters.scripted.script_file import load_script
from infra.providers.call_gate import CallGate
from infra.providers.call_headers import CallHeaders
from infra.providers.circuit import CircuitRules
from infra.providers.driver import HttpProvider, ResponseLimits
from infra.providers.http_pool import HttpPool
from infra.providers.key_ring import KeyRing
from infra.providers.redaction import Redaction
from infra.providers.setting_faults import provider_faults
from infra.providers.settings import ProviderKind, ProviderSettings

SCRIPTED = "scripted"
ADAPTERS: Final[Mapping[ProviderKind, Callable[[ProviderSettings, CallHeaders], Adapter]]] = {
    ProviderKind.OPENAI_CHAT: OpenAiChat,
    ProviderKind.INFERENCE_HTTP: InferenceHttp,
    ProviderKind.OPENAI_RESPONSES: OpenAiResponses,
    ProviderKind.ANTHROPIC: Anthropic,
}
_SPARE_CONNECTIONS = 32
_CLOSE_WITHIN_S = 5


class InvalidProviders(Exception):
    """`faults` holds one line for each thing wrong, none of which shows a secret."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class ProviderRegistry:
    """Fills `Providers`. Calls can be made while it is entered; leaving aborts what is still open."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        kinds: Mapping[str, ProviderKind],
        pools: Sequence[HttpPool],
        gates: Mapping[str, CallGate],
        key_rings: Sequence[KeyRing],
    ) -> None:
        self.kinds = kinds
        self.gates = gates
        self._providers = providers
        self._pools = pools
        self._key_rings = key_rings

    def for_provider(self, provider_id: str) -> Provider:
        return self._providers[provider_id]

    def closed_for(self, provider_id: str) -> timedelta | None:
        gate = self.gates.get(provider_id)
        return None if gate is None else gate.closed_for

    async def reread_keys(self) -> None:
        """Takes new keys up from their files."""
        for keys in self._key_rings:
            await anyio.to_thread.run_sync(keys.reread)

    async def __aenter__(self) -> Self:
        for pool in self._pools:
            pool.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.move_on_after(_CLOSE_WITHIN_S, shield=True):
            for pool in self._pools:
                await pool.close()


def build_providers(
    settings: Mapping[str, ProviderSettings],
    env: Mapping[str, str],
    clock: Clock,
    telemetry: Telemetry | None = None,
    on_refusal: Callable[[], None] = lambda: None,
) -> ProviderRegistry:
    """`scripted` exists even where nobody configured it; `on_refusal` is called when a key is not accepted.

    Raises InvalidProviders with every fault at once.
    """
    settings = {SCRIPTED: ProviderSettings(kind=ProviderKind.SCRIPTED), **settings}
    faults = [f"providers.{id_}.{fault}" for id_, each in settings.items() for fault in provider_faults(each, env)]
    if faults:
        raise InvalidProviders(faults)
    shop = _Workshop(env, clock, telemetry or SilentTelemetry(), on_refusal)
    providers = {id_: shop.provider(id_, each) for id_, each in settings.items()}
    kinds = {id_: each.kind for id_, each in settings.items()}
    return ProviderRegistry(providers, kinds, shop.pools, shop.gates, shop.key_rings)


class _Workshop:
    """What is built on the way from settings to a registry."""

    def __init__(
        self, env: Mapping[str, str], clock: Clock, telemetry: Telemetry, on_refusal: Callable[[], None]
    ) -> None:
        self.pools: list[HttpPool] = []
        self.gates: dict[str, CallGate] = {}
        self.key_rings: list[KeyRing] = []
        self._env = env
        self._clock = clock
        self._telemetry = telemetry
        self._on_refusal = on_refusal

    def provider(self, id_: str, settings: ProviderSettings) -> Provider:
        if settings.kind is ProviderKind.SCRIPTED:
            return _scripted(settings, self._clock)
        keys = KeyRing(id_, settings, self._env)
        self.key_rings.append(keys)
        self.pools.append(_pool(settings))
        self.gates[id_] = self._gate(id_, settings, keys)
        limits = ResponseLimits(
            max_frame_bytes=settings.largest_frame_bytes, lenient_media_type=settings.lenient_media_type
        )
        return HttpProvider(
            self.pools[-1],
            ADAPTERS[settings.kind](settings, keys.headers),
            self._clock,
            limits,
            self.gates[id_],
            connect_retries=settings.retry.connect,
        )

    def _gate(self, id_: str, settings: ProviderSettings, keys: KeyRing) -> CallGate:
        host = urlsplit(settings.base_url).hostname or ""
        return CallGate(
            id_,
            self._clock,
            self._telemetry,
            max_streams=settings.max_streams,
            rules=CircuitRules(unreached=settings.breaker_failures),
            redaction=Redaction(lambda: (host, settings.base_url, *keys.secrets())),
            when_refused=self._on_refusal,
        )


def _scripted(settings: ProviderSettings, clock: Clock) -> ScriptedProvider:
    script = None if settings.script is None else load_script(settings.script)
    return ScriptedProvider(clock, settings.seed, script)


def _pool(settings: ProviderSettings) -> HttpPool:
    return HttpPool(
        connections=settings.max_streams + _SPARE_CONNECTIONS,
        allow_private_network=settings.allow_private_network,
        ca_file=settings.ca_file,
    )
