"""What each refusal of the database means to a use case, and that none of its words get any further."""

import logging
import traceback
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.errors import ServiceUnavailable
from domain.unit_of_work import LostRace, OutcomeUnknown, ReadOnly, TransactionConflict
from infra.postgres.connection_pool import ConnectionPool
from infra.postgres.engine import PoolLimits, create_pools
from infra.postgres.errors import DatabaseFault
from infra.postgres.transaction import transaction
from tests.harness.postgres import Database, PostgresServer

ENDING = timedelta(seconds=3)
POOL = PoolLimits(size=1, reserved_size=1, acquire=timedelta(seconds=5), statement=timedelta(seconds=5))

OUTAGES = ["53100", "53200", "53300", "55P03", "57014", "57P01", "57P02", "57P03", "08006", "58030", "25P03"]
CONFLICTS = ["40001", "40P01"]
FAULTS = ["42501", "42P01", "42601", "22P02", "22021", "23502", "23503", "23514", "XX000", "28000", "P0001"]

TABLE = "CREATE TEMPORARY TABLE deferred (id int)"
RAISE = """
    CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{sqlstate}'; END $$
"""
AT_COMMIT = """
    CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON deferred DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION pg_temp.refuse()
"""
ROW = "INSERT INTO deferred VALUES (1)"


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> Iterator[Database]:
    with postgres_server.database() as database:
        yield database


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[ConnectionPool]:
    pools = create_pools(database.dsn, POOL, application_name="errors")
    try:
        yield pools.requests
    finally:
        await pools.dispose()


async def refuse(connection: AsyncConnection, sqlstate: str, secret: str, constraint: str = "") -> None:
    """As a server would: with values of rows in message, detail and hint."""
    values = ", ".join(f"{part} = '{secret}'" for part in ("MESSAGE", "DETAIL", "HINT"))
    named = f", CONSTRAINT = '{constraint}'" if constraint else ""
    await connection.execute(text(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{sqlstate}', {values}{named}; END $$"))


async def outcome(engine: ConnectionPool, sqlstate: str, secret: str = "", constraint: str = "") -> Exception:
    with pytest.raises((ServiceUnavailable, LostRace, ReadOnly, DatabaseFault)) as refused:
        async with transaction(engine, "BEGIN", ENDING, lambda begun: begun) as connection:
            await refuse(connection, sqlstate, secret, constraint)
    return refused.value


@pytest.mark.parametrize("sqlstate", OUTAGES)
async def test_an_outage_is_answered_with_when_to_come_back(engine: ConnectionPool, sqlstate: str) -> None:
    refusal = await outcome(engine, sqlstate)
    assert type(refusal) is ServiceUnavailable
    assert refusal.retry_after is not None
    assert timedelta(seconds=1) <= refusal.retry_after <= timedelta(seconds=2)


@pytest.mark.parametrize("sqlstate", CONFLICTS)
async def test_a_conflict_may_be_tried_again_and_is_an_outage_to_who_does_not(
    engine: ConnectionPool, sqlstate: str
) -> None:
    refusal = await outcome(engine, sqlstate)
    assert type(refusal) is TransactionConflict
    assert isinstance(refusal, ServiceUnavailable)


async def test_a_taken_key_is_told_by_the_name_of_its_constraint(engine: ConnectionPool) -> None:
    refusal = await outcome(engine, "23505", constraint="ux_turns_one_running")
    assert isinstance(refusal, LostRace)
    assert refusal.constraint == "ux_turns_one_running"


async def test_a_taken_key_without_a_name_is_a_fault(engine: ConnectionPool) -> None:
    assert isinstance(await outcome(engine, "23505"), DatabaseFault)


async def test_writing_in_a_read_is_our_own_mistake(engine: ConnectionPool) -> None:
    assert isinstance(await outcome(engine, "25006"), ReadOnly)


@pytest.mark.parametrize("sqlstate", FAULTS)
async def test_everything_else_is_a_fault_that_names_its_rule(engine: ConnectionPool, sqlstate: str) -> None:
    refusal = await outcome(engine, sqlstate, constraint="ck_some_rule")
    assert isinstance(refusal, DatabaseFault)
    assert (refusal.sqlstate, refusal.constraint) == (sqlstate, "ck_some_rule")


@pytest.mark.parametrize("sqlstate", ["53100", "40001", "23505", "25006", "23514"])
async def test_no_word_of_the_database_gets_any_further(
    engine: ConnectionPool, sqlstate: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret = f"CNRY-{uuid4().hex}"
    with caplog.at_level(logging.DEBUG):
        refusal = await outcome(engine, sqlstate, secret, constraint="some_rule")
    told = "".join(traceback.format_exception(refusal))
    assert secret not in told + repr(vars(refusal)) + caplog.text
    assert sqlstate in told
    assert "await refuse(connection" in told


async def test_a_value_the_driver_refuses_to_send_is_a_fault_and_no_outage(engine: ConnectionPool) -> None:
    with pytest.raises(DatabaseFault):
        async with transaction(engine, "BEGIN", ENDING, lambda begun: begun) as connection:
            await connection.execute(text("SELECT CAST(:number AS bigint)"), {"number": 2**80})


@pytest.mark.parametrize(
    ("sqlstate", "kind"), [("23514", DatabaseFault), ("40001", TransactionConflict), ("57P01", OutcomeUnknown)]
)
async def test_only_a_lost_connection_leaves_the_outcome_of_a_commit_open(
    engine: ConnectionPool, sqlstate: str, kind: type[Exception]
) -> None:
    """A deferred check that fails at COMMIT is an answer: the transaction is rolled back and we know it."""

    async def refused_at_commit() -> None:
        async with transaction(engine, "BEGIN", ENDING, lambda begun: begun) as connection:
            for statement in (TABLE, RAISE.format(sqlstate=sqlstate), AT_COMMIT, ROW):
                await connection.execute(text(statement))

    with pytest.raises(kind) as refused:
        await refused_at_commit()
    assert type(refused.value) is kind
    async with transaction(engine, "BEGIN", ENDING, lambda begun: begun) as connection:
        assert (await connection.execute(text("SELECT to_regclass('pg_temp.deferred')"))).scalar_one() is None
