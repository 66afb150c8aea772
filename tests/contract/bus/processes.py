"""Processes as the bus sees them: an owner, what reaches it, and its end of the bus."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final
from uuid import uuid4

from app.messaging import messaging
from app.settings import RedisSettings
from domain.clock import SystemClock
from domain.ids import OwnerId, TenantId, TurnId
from domain.streaming.models import StopReason
from domain.telemetry.ports import SilentTelemetry
from domain.turns.bus import Broadcast, Bus, FollowTurn, Inbox, Message, PolicyChanged, StopTurn
from infra.local.bus import Exchange, LocalBus
from tests.harness.eventually import until

TIMEOUT: Final = timedelta(milliseconds=100)
PATIENCE: Final = timedelta(seconds=2)
"""Where nothing goes wrong: a busy machine is no fault of the bus."""

RECONNECTED_WITHIN_S: Final = 5


class Process:
    def __init__(self) -> None:
        self.owner = OwnerId(uuid4())
        self.inbox = Inbox()
        self.heard: list[Message] = []
        self.inbox.on(StopTurn, self.heard.append)
        self.inbox.on(FollowTurn, self.heard.append)
        self.inbox.on(PolicyChanged, self.heard.append)
        self.bus: Bus
        self.broadcast: Broadcast

    async def hears(self, message: Message) -> None:
        await until(lambda: message in self.heard)


def a_stop(epoch: int = 1) -> StopTurn:
    return StopTurn(tenant_id=TenantId(uuid4()), turn_id=TurnId(uuid4()), epoch=epoch, reason=StopReason.CHAT_DELETED)


def a_follow(position: int = 0) -> FollowTurn:
    return FollowTurn(
        tenant_id=TenantId(uuid4()),
        turn_id=TurnId(uuid4()),
        epoch=1,
        position=position,
        reader=OwnerId(uuid4()),
        sequence=1,
    )


def on_one_loop(exchange: Exchange) -> Process:
    process = Process()
    process.bus = process.broadcast = LocalBus(exchange, process.owner, process.inbox)
    return process


@asynccontextmanager
async def over_redis(url: str, patience: timedelta = TIMEOUT, *, listening: bool = True) -> AsyncIterator[Process]:
    """As the application puts it together."""
    process = Process()
    messages = messaging(RedisSettings(url=url, timeout=patience), process.owner, SystemClock(), SilentTelemetry())
    messages.inbox.on(StopTurn, process.heard.append)
    messages.inbox.on(FollowTurn, process.heard.append)
    messages.inbox.on(PolicyChanged, process.heard.append)
    process.inbox, process.bus, process.broadcast = messages.inbox, messages.bus, messages.broadcast
    async with messages.running():
        if listening:
            await until(lambda: process.bus.healthy, within_s=RECONNECTED_WITHIN_S)
        yield process
