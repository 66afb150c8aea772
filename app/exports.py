"""Where events go, as the settings say (docs/events.md)."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from app.config_layers import Mistakes
from app.settings import Settings
from app.signing_keys import MIN_KEY_CHARS
from domain.audit.events import Stream
from domain.audit.ports import Consumer
from domain.clock import Clock
from infra.exports.log_file import LogFile
from infra.exports.webhook import Webhook
from infra.providers.address_guard import base_url_faults
from infra.providers.secrets import Secret, UnusableReference, resolve


@dataclass(frozen=True)
class Sinks:
    """`consumers` work between entering and leaving `running`."""

    consumers: Mapping[Stream, Consumer] = field(default_factory=dict)

    @property
    def streams(self) -> frozenset[Stream]:
        return frozenset(self.consumers)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for consumer in self.consumers.values():
                if isinstance(consumer, AbstractAsyncContextManager):
                    await stack.enter_async_context(consumer)
            yield


def build_sinks(settings: Settings, env: Mapping[str, str], clock: Clock) -> Sinks:
    """Raises Mistakes for a sink that cannot work."""
    given = {Stream.AUDIT: settings.audit.sink, Stream.USAGE: settings.usage.sink}
    return Sinks(
        {
            stream: _consumer(f"{stream}.sink", sink, settings, env, clock)
            for stream, sink in given.items()
            if sink is not None
        }
    )


def _consumer(key: str, sink: str, settings: Settings, env: Mapping[str, str], clock: Clock) -> Consumer:
    scheme, _, target = sink.partition(":")
    match scheme:
        case "file":
            return _log_file(key, Path(target), fsync=settings.exports.fsync)
        case "stream":
            return _redis_stream(key, target, settings)
        case _:
            return _webhook(key, sink, settings, env, clock)


def _log_file(key: str, path: Path, *, fsync: bool) -> Consumer:
    if not path.is_absolute():
        raise Mistakes((f"{key}: file: needs an absolute path",))
    return LogFile(path, fsync=fsync)


def _redis_stream(key: str, name: str, settings: Settings) -> Consumer:
    if settings.redis.url is None or not name:
        raise Mistakes((f"{key}: stream: needs a name, and redis.url",))
    # Whoever has no Redis does not pay for its client: 20 MB and a tenth of a second.
    from infra.exports.redis_stream import RedisStream  # noqa: PLC0415

    exports = settings.exports
    return RedisStream(settings.redis.url, name, exports.timeout, max_length=exports.stream_max_length)


def _webhook(key: str, url: str, settings: Settings, env: Mapping[str, str], clock: Clock) -> Consumer:
    exports = settings.exports
    faults = base_url_faults(url, allow_http=exports.allow_http, allow_private_network=exports.allow_private_network)
    lines = tuple(f"{key}: {fault.replace('set allow_', 'set exports.allow_')}" for fault in faults)
    if lines:
        raise Mistakes(lines)
    return Webhook(
        url,
        _signing_key(exports.signing_key, env),
        clock,
        exports.timeout,
        allow_private_network=exports.allow_private_network,
    )


def _signing_key(reference: str | None, env: Mapping[str, str]) -> Secret:
    if reference is None:
        raise Mistakes(("exports.signing_key: is required for a webhook",))
    try:
        key = resolve(reference, env)
    except UnusableReference as fault:
        raise Mistakes((f"exports.signing_key: {fault}",)) from None
    if len(key.reveal()) < MIN_KEY_CHARS:
        raise Mistakes((f"exports.signing_key: must have at least {MIN_KEY_CHARS} characters",))
    return key
