"""Is the process alive, and may it be sent work (api.md 3.12)."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from enum import StrEnum

import anyio
import msgspec
import structlog
from litestar import Controller, Response, get
from litestar.di import NamedDependency

from api.rest.gate import Drain

_log = structlog.get_logger(__name__)


class Health(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"
    FAILED = "failed"


Check = Callable[[], Awaitable[Health]]
"""Looks at one thing the process needs. An exception or silence counts as failed."""


class Liveness(msgspec.Struct, frozen=True):
    status: str


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    status: str
    checks: dict[str, Health]


class Probes:
    """Runs the checks side by side, each for at most `patience`."""

    def __init__(
        self, checks: Mapping[str, Check], drain: Drain, patience: timedelta = timedelta(milliseconds=900)
    ) -> None:
        self._checks = checks
        self._drain = drain
        self._patience = patience

    async def readiness(self) -> Readiness:
        found = dict.fromkeys(self._checks, Health.FAILED)

        async def look(name: str, check: Check) -> None:
            with anyio.move_on_after(self._patience.total_seconds()):
                found[name] = await _outcome(name, check)

        async with anyio.create_task_group() as group:
            for name, check in self._checks.items():
                group.start_soon(look, name, check)
        return Readiness(status=self._status(found), checks=found)

    def _status(self, found: Mapping[str, Health]) -> str:
        if self._drain.draining:
            return "draining"
        return "not_ready" if Health.FAILED in found.values() else "ready"


async def _outcome(name: str, check: Check) -> Health:
    try:
        return await check()
    except Exception as error:  # noqa: BLE001 - a probe answers whatever breaks
        _log.warning("health check failed", check=name, error_type=type(error).__qualname__)
        return Health.FAILED


class HealthController(Controller):
    tags = ("Operations",)

    @get("/livez", status_code=200, summary="Whether the process is alive")
    async def livez(self) -> Liveness:
        return Liveness("ok")

    @get("/readyz", status_code=200, summary="Whether the process may be sent work; 503 in the same form if not")
    async def readyz(self, probes: NamedDependency[Probes]) -> Response[Readiness]:
        readiness = await probes.readiness()
        return Response(readiness, status_code=200 if readiness.status == "ready" else 503)
