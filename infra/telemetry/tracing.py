"""Whether the engine's reports leave the process, and from when until when they do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Protocol, runtime_checkable

import anyio
import anyio.to_thread

from domain.telemetry.ports import SilentTelemetry, Telemetry


@runtime_checkable
class Exported(Protocol):
    """Telemetry with threads and connections behind it."""

    def start(self) -> None: ...
    def stop(self) -> None: ...


def telemetry_for(endpoint: str | None, service_name: str, deadline: timedelta) -> Telemetry:
    """Silent without an endpoint. Nothing leaves the process before `exporting` is entered."""
    if endpoint is None:
        return SilentTelemetry()
    # Who exports nothing shall not pay for OpenTelemetry: 300 ms and 30 MB.
    from infra.telemetry.otlp import OtlpTelemetry  # noqa: PLC0415 - see above

    return OtlpTelemetry(endpoint, service_name, deadline)


@asynccontextmanager
async def exporting(telemetry: Telemetry) -> AsyncIterator[None]:
    """What is reported inside is sent; the way out takes at most twice the deadline, to send the rest."""
    if not isinstance(telemetry, Exported):
        yield
        return
    telemetry.start()
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(telemetry.stop)
