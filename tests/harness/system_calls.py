"""Calls on the system's account over a real database, with a provider of the test's own."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

import msgspec

from domain.catalogue.models import Estimation, ModelSpec
from domain.clock import SystemClock
from domain.providers.ports import Provider
from domain.switches.board import Switchboard
from domain.system_calls.choosing import SystemModels
from domain.system_calls.models import SystemTask
from domain.system_calls.service import SystemCalls
from domain.telemetry.ports import SilentTelemetry, Telemetry
from infra.postgres.engine import PoolLimits, create_pools
from infra.postgres.policy_reader import PostgresPolicyReader
from infra.postgres.transaction import TransactionLimits
from infra.postgres.unit_of_work import PostgresUnitOfWork
from tests.fakes.providers import OneProvider
from tests.harness.engine import MODEL, PSEUDONYMISER, FixedCatalogue

PLENTY_MICRO = 10**12
NOTHING_CONFIGURED: Mapping[SystemTask, str] = {}


class Desk(msgspec.Struct, kw_only=True):
    """One process's way of asking models for itself."""

    begin: PostgresUnitOfWork
    board: Switchboard
    calls: SystemCalls


@asynccontextmanager
async def system_desk(
    dsn: str,
    provider: Provider,
    *,
    models: tuple[ModelSpec, ...] = (MODEL,),
    configured: Mapping[SystemTask, str] = NOTHING_CONFIGURED,
    daily_limit_micro: int = PLENTY_MICRO,
    telemetry: Telemetry | None = None,
) -> AsyncIterator[Desk]:
    limits = PoolLimits(size=4, reserved_size=1, acquire=timedelta(seconds=5), statement=timedelta(seconds=5))
    pools = create_pools(dsn, limits, application_name="tests")
    board, clock = Switchboard(PostgresPolicyReader(pools.reserved, TransactionLimits())), SystemClock()
    begin = PostgresUnitOfWork(pools.requests, TransactionLimits())
    calls = SystemCalls(
        begin,
        SystemModels(FixedCatalogue(*models), board, configured, clock),
        OneProvider(provider),
        Estimation(),
        daily_limit_micro,
        110,
        PSEUDONYMISER,
        clock,
        telemetry or SilentTelemetry(),
    )
    try:
        await board.refresh()
        yield Desk(begin=begin, board=board, calls=calls)
    finally:
        await pools.dispose()
