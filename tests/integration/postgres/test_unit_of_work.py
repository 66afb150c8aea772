"""Transactions on a real server: what they cost, what they leave behind, and how they end when something breaks."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TypeAlias
from uuid import uuid4

import anyio
import asyncpg
import pytest
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from domain.auth.policy import LICENCE_FEATURE, Policy, Role
from domain.catalogue.models import ModelSpec
from domain.chats.models import ChatChange, Deletion, NewChat, RunningTurn
from domain.chats.service import ChatDraft, ChatPatch, ChatService
from domain.clock import SystemClock
from domain.errors import ChatNotFound, ServiceUnavailable
from domain.ids import ChatId, TenantId, UserId, uuid7
from domain.messages.service import MessageService
from domain.pagination import PageQuery
from domain.scope import AccessScope
from domain.subject import AuthMethod, Subject
from domain.unit_of_work import Access, OutcomeUnknown, TransactionConflict
from infra.postgres.connection_pool import ConnectionPool, driver_of
from infra.postgres.engine import PoolLimits, create_pools
from infra.postgres.transaction import TransactionLimits
from infra.postgres.unit_of_work import PostgresTransaction, PostgresUnitOfWork
from tests.contract.store.backends import InPostgres
from tests.contract.store.samples import a_turn
from tests.fakes.chats import stop_nothing
from tests.harness.cancellation import Stepped
from tests.harness.database_proxy import DatabaseProxy
from tests.harness.postgres import Database
from tests.harness.statements import StatementCounter

POOL = PoolLimits(size=1, reserved_size=1, acquire=timedelta(seconds=5), statement=timedelta(seconds=5))
LIMITS = TransactionLimits()

ANN = AccessScope(tenant_id=TenantId(uuid4()), user_id=UserId(uuid4()))
STRANGER = AccessScope(tenant_id=TenantId(uuid4()), user_id=UserId(uuid4()))

Admin: TypeAlias = asyncpg.Connection


@asynccontextmanager
async def pool(dsn: str, limits: PoolLimits = POOL, name: str = "uow") -> AsyncIterator[ConnectionPool]:
    pools = create_pools(dsn, limits, application_name=name)
    try:
        yield pools.requests
    finally:
        await pools.dispose()


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[ConnectionPool]:
    """A pool of one connection, so that each transaction inherits what the one before it left behind."""
    async with pool(database.dsn) as engine:
        yield engine


@pytest.fixture
async def second(database: Database) -> AsyncIterator[ConnectionPool]:
    async with pool(database.dsn, name="second") as engine:
        yield engine


@pytest.fixture
async def admin(database: Database) -> AsyncIterator[Admin]:
    connection = await asyncpg.connect(database.superuser_dsn)
    yield connection
    await connection.close()


def chat_id() -> ChatId:
    return ChatId(uuid7(datetime.now(UTC)))


async def add(begin: PostgresUnitOfWork, scope: AccessScope, new_id: ChatId | None = None) -> ChatId:
    async with begin(scope) as tx:
        return (await tx.chats.add(new_id or chat_id(), NewChat(model="m"))).id


async def exists(begin: PostgresUnitOfWork, scope: AccessScope, wanted: ChatId) -> bool:
    async with begin(scope, Access.READ) as tx:
        return await tx.chats.get(wanted) is not None


async def scalar(tx: PostgresTransaction, query: str) -> object:
    return (await tx.chats._connection.execute(text(query))).scalar_one()


async def wait_for(admin: Admin, condition: str) -> None:
    """Until the server says so of the backends that serve `engine`."""
    query = f"SELECT {condition} FROM pg_stat_activity WHERE application_name = 'uow requests'"  # noqa: S608 - ours
    with anyio.fail_after(5):
        while not await admin.fetchval(query):
            await anyio.lowlevel.checkpoint()


# What it costs


async def test_a_transaction_costs_one_message_to_begin_and_one_to_end(engine: ConnectionPool) -> None:
    begin = PostgresUnitOfWork(engine, LIMITS)
    async with begin(ANN) as tx:
        driver = driver_of(tx.chats._connection)
    sent: list[str] = []
    driver.add_query_logger(lambda record: sent.append(record.query))

    async with begin(ANN, Access.READ):
        pass
    async with begin(ANN):
        pass
    with pytest.raises(ChatNotFound):
        async with begin(ANN, Access.READ):
            raise ChatNotFound
    await anyio.lowlevel.checkpoint()  # the driver calls its loggers one turn of the loop later

    modes = ["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "BEGIN ISOLATION LEVEL READ COMMITTED"]
    assert [message.split(";")[0] for message in sent] == [modes[0], "COMMIT", modes[1], "COMMIT", modes[0], "ROLLBACK"]
    assert all(str(ANN.tenant_id) in message for message in sent[::2])


class OneModel:
    version = 1

    def models(self) -> tuple[ModelSpec, ...]:
        return (ModelSpec(id="m", provider_id="p", provider_model_id="m"),)


@pytest.mark.parametrize(
    ("use_case", "statements"),
    [
        ("create", 3),
        ("get", 2),
        ("list", 2),
        ("list with previews", 2),
        ("list deleted", 2),
        ("rename", 3),
        ("note", 3),
        ("delete", 4),
        ("restore", 3),
        ("messages", 3),
    ],
)
async def test_what_each_use_case_sends(engine: ConnectionPool, use_case: str, statements: int) -> None:
    begin = PostgresUnitOfWork(engine, LIMITS)
    ann = Subject(
        tenant_id=ANN.tenant_id,
        user_id=ANN.user_id,
        roles=frozenset({Role.USER}),
        features=frozenset({LICENCE_FEATURE}),
        auth_method=AuthMethod.DEV,
    )
    chats = ChatService(begin, Policy(), OneModel(), stop_nothing, SystemClock())
    hers = await add(begin, ANN)
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "create": lambda: chats.create(ann, ChatDraft()),
        "get": lambda: chats.get(ann, hers),
        "list": lambda: chats.list(ann, PageQuery(limit=20)),
        "list with previews": lambda: chats.list(ann, PageQuery(limit=20), preview=True),
        "list deleted": lambda: chats.list(ann, PageQuery(limit=20), deleted=True),
        "rename": lambda: chats.change(ann, hers, ChatPatch(title="x")),
        "note": lambda: chats.change(ann, hers, ChatPatch(metadata={"a": "b"})),
        "restore": lambda: chats.restore(ann, hers),
        "delete": lambda: chats.delete(ann, hers),
        "messages": lambda: MessageService(begin, Policy()).list(ann, hers, PageQuery(limit=20)),
    }
    async with StatementCounter(engine) as counter:
        await calls[use_case]()
    assert counter.count == statements, counter.statements


@pytest.mark.parametrize(
    ("access", "isolation", "read_only"),
    [(Access.READ, "repeatable read", "on"), (Access.WRITE, "read committed", "off")],
)
async def test_mode_tenant_and_timeouts_hold_inside(
    engine: ConnectionPool, access: Access, isolation: str, read_only: str
) -> None:
    limits = TransactionLimits(
        statement=timedelta(milliseconds=1500), lock=timedelta(milliseconds=700), idle=timedelta(seconds=9)
    )
    async with PostgresUnitOfWork(engine, limits)(ANN, access) as tx:
        assert await scalar(tx, "SHOW transaction_isolation") == isolation
        assert await scalar(tx, "SHOW transaction_read_only") == read_only
        assert await scalar(tx, "SELECT current_setting('app.tenant')") == str(ANN.tenant_id)
        assert await scalar(tx, "SHOW statement_timeout") == "1500ms"
        assert await scalar(tx, "SHOW lock_timeout") == "700ms"
        assert await scalar(tx, "SHOW idle_in_transaction_session_timeout") == "9s"


# What it leaves behind


async def _commit(begin: PostgresUnitOfWork) -> None:
    await add(begin, ANN)


async def _roll_back(begin: PostgresUnitOfWork) -> None:
    async def refused() -> None:
        async with begin(ANN) as tx:
            await tx.chats.add(chat_id(), NewChat(model="m"))
            raise ChatNotFound

    with pytest.raises(ChatNotFound):
        await refused()


async def _fail(begin: PostgresUnitOfWork) -> None:
    with pytest.raises(Exception, match="SQLSTATE 22012"):
        async with begin(ANN) as tx:
            await scalar(tx, "SELECT 1 / 0")


async def _cancel(begin: PostgresUnitOfWork) -> None:
    with anyio.move_on_after(0.05):
        async with begin(ANN) as tx:
            await scalar(tx, "SELECT pg_sleep(30)")


async def _read(begin: PostgresUnitOfWork) -> None:
    async with begin(ANN, Access.READ) as tx:
        await tx.chats.get(chat_id())


@pytest.mark.parametrize("end", [_commit, _roll_back, _fail, _cancel, _read])
async def test_a_reused_connection_knows_nothing_of_its_last_tenant(
    engine: ConnectionPool, end: Callable[[PostgresUnitOfWork], Awaitable[None]]
) -> None:
    begin = PostgresUnitOfWork(engine, LIMITS)
    hers = await add(begin, ANN)
    await end(begin)

    async with engine.connect() as connection:
        settings = "SELECT current_setting('app.tenant', true), current_setting('statement_timeout')"
        assert tuple((await connection.execute(text(settings))).one()) in {("", "0"), (None, "0")}
        assert (await connection.execute(text("SHOW transaction_read_only"))).scalar_one() == "off"
        assert (await connection.execute(text("SELECT count(*) FROM mini_chat.chats"))).scalar_one() == 0
    async with engine.connect() as connection:
        insert = text(
            "INSERT INTO mini_chat.chats (tenant_id, id, user_id, model, is_temporary) VALUES (:t, :i, :u, 'm', false)"
        )
        with pytest.raises(DBAPIError) as refused:
            await connection.execute(insert, {"t": ANN.tenant_id, "i": uuid4(), "u": ANN.user_id})
        assert getattr(refused.value.orig, "sqlstate", None) == "42501"
    assert not await exists(begin, STRANGER, hers)
    assert await exists(begin, ANN, hers)


# Cancellation


async def _two_chats(begin: PostgresUnitOfWork, first: ChatId, other: ChatId) -> None:
    async with begin(ANN) as tx:
        await tx.chats.add(first, NewChat(model="m"))
        await anyio.lowlevel.checkpoint()  # no use case may wait for anything else in here; should one, it is covered
        await tx.chats.add(other, NewChat(model="m"))


async def _cancelled_by_scope(begin: PostgresUnitOfWork, first: ChatId, other: ChatId, at: int) -> int:
    scope = anyio.CancelScope()
    work = Stepped(_two_chats(begin, first, other), at, scope.cancel)
    with scope:
        await work
    return work.awaits


async def _cancelled_natively(begin: PostgresUnitOfWork, first: ChatId, other: ChatId, at: int) -> int:
    async def run() -> int:
        me = asyncio.current_task()
        assert me is not None
        work = Stepped(_two_chats(begin, first, other), at, me.cancel)
        with suppress(asyncio.CancelledError):
            await work
        return work.awaits

    return await asyncio.create_task(run())


@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize("run", [_cancelled_by_scope, _cancelled_natively])
async def test_cancelled_at_any_await_a_transaction_is_whole_or_absent_and_the_pool_healthy(
    engine: ConnectionPool,
    admin: Admin,
    warm: bool,
    run: Callable[[PostgresUnitOfWork, ChatId, ChatId, int], Awaitable[int]],
) -> None:
    begin = PostgresUnitOfWork(engine, LIMITS)
    at = 1
    while True:
        if warm:
            await exists(begin, ANN, chat_id())
        else:
            await engine.dispose()
        first, other = chat_id(), chat_id()
        with anyio.fail_after(5):
            awaits = await run(begin, first, other, at)

        await engine.give_back()
        assert engine.pool.checkedout() == 0  # type: ignore[attr-defined] # a queue pool, by its configuration
        assert await exists(begin, ANN, first) == await exists(begin, ANN, other)
        await wait_for(admin, "count(*) <= 1 AND count(*) FILTER (WHERE state LIKE 'idle in%') = 0")
        if awaits < at:
            assert await exists(begin, ANN, first)
            break
        at += 1
    assert at > (5 if warm else 7)


async def test_a_commit_once_sent_is_awaited_although_its_scope_is_cancelled(
    engine: ConnectionPool, admin: Admin
) -> None:
    await slow_commits(admin, seconds=0.3)
    begin = PostgresUnitOfWork(engine, LIMITS)
    fresh = chat_id()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_during_commit, admin, scope)
            await add(begin, ANN, fresh)
            assert scope.cancel_called
    assert await exists(begin, ANN, fresh)


async def _cancel_during_commit(admin: Admin, scope: anyio.CancelScope) -> None:
    await wait_for(admin, "bool_or(query LIKE 'COMMIT%' AND state = 'active')")
    scope.cancel()


async def slow_commits(admin: Admin, seconds: float) -> None:
    await admin.execute(f"""
        CREATE FUNCTION doze() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep({seconds}); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER doze AFTER INSERT ON mini_chat.chats DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION doze();
    """)


# What breaks


async def test_a_commit_without_an_answer_in_time_says_so(engine: ConnectionPool, admin: Admin) -> None:
    await slow_commits(admin, seconds=30)
    begin = PostgresUnitOfWork(engine, replace(LIMITS, ending=timedelta(milliseconds=100)))
    with pytest.raises(OutcomeUnknown), anyio.fail_after(2):
        await add(begin, ANN)
    assert not await exists(begin, ANN, chat_id())


async def test_a_connection_lost_during_commit_leaves_the_outcome_open(engine: ConnectionPool, admin: Admin) -> None:
    await slow_commits(admin, seconds=30)
    begin = PostgresUnitOfWork(engine, LIMITS)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_kill_during_commit, admin)
            with pytest.raises(OutcomeUnknown):
                await add(begin, ANN)
    assert not await exists(begin, ANN, chat_id())


async def _kill_during_commit(admin: Admin) -> None:
    await wait_for(admin, "bool_or(query LIKE 'COMMIT%' AND state = 'active')")
    await kill(admin)


async def kill(admin: Admin) -> None:
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'uow requests'"
    )
    await wait_for(admin, "count(*) = 0")


async def test_a_backend_killed_inside_a_transaction_is_an_outage_and_then_forgotten(
    engine: ConnectionPool, admin: Admin
) -> None:
    begin = PostgresUnitOfWork(engine, LIMITS)
    fresh = chat_id()

    async def interrupted() -> None:
        async with begin(ANN) as tx:
            await tx.chats.add(fresh, NewChat(model="m"))
            await kill(admin)
            await tx.chats.get(fresh)

    with pytest.raises(ServiceUnavailable) as outage:
        await interrupted()
    assert not isinstance(outage.value, OutcomeUnknown)
    assert outage.value.retry_after == timedelta(seconds=1)
    assert not await exists(begin, ANN, fresh)


async def test_a_backend_killed_while_idle_costs_one_refusal_at_most(engine: ConnectionPool, admin: Admin) -> None:
    begin = PostgresUnitOfWork(engine, LIMITS)
    hers = await add(begin, ANN)
    await kill(admin)
    try:
        assert await exists(begin, ANN, hers)
    except ServiceUnavailable:
        assert await exists(begin, ANN, hers)


async def test_an_exhausted_pool_refuses_within_its_deadline(database: Database) -> None:
    limits = replace(POOL, acquire=timedelta(milliseconds=100))
    async with pool(database.dsn, limits) as engine:
        begin = PostgresUnitOfWork(engine, LIMITS)
        async with begin(ANN):
            with pytest.raises(ServiceUnavailable), anyio.fail_after(2):
                async with begin(STRANGER):
                    pytest.fail("there is no second connection")
        assert not await exists(begin, ANN, chat_id())


async def test_a_server_that_does_not_exist_or_never_answers_is_an_outage() -> None:
    limits = replace(POOL, acquire=timedelta(milliseconds=200))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for port in (silent.getsockname()[1], 1):
            async with pool(f"postgresql://u:p@127.0.0.1:{port}/d", limits) as engine:
                with pytest.raises(ServiceUnavailable), anyio.fail_after(3):
                    await add(PostgresUnitOfWork(engine, LIMITS), ANN)


async def test_a_server_that_falls_silent_is_an_outage_and_its_connection_never_used_again(database: Database) -> None:
    proxy = DatabaseProxy(database.dsn)
    limits = replace(POOL, statement=timedelta(milliseconds=100))
    async with proxy.running(), pool(proxy.dsn, limits) as engine:
        begin = PostgresUnitOfWork(engine, LIMITS)
        hers = await add(begin, ANN)

        proxy.freeze()
        with pytest.raises(ServiceUnavailable), anyio.fail_after(2):
            await add(begin, ANN)
        proxy.thaw()

        assert await exists(begin, ANN, hers)


async def test_a_server_that_falls_silent_before_the_commit_leaves_its_outcome_open(database: Database) -> None:
    proxy = DatabaseProxy(database.dsn)
    limits = replace(POOL, statement=timedelta(milliseconds=100))
    fresh = chat_id()
    async with proxy.running(), pool(proxy.dsn, limits) as engine:
        begin = PostgresUnitOfWork(engine, LIMITS)

        async def interrupted() -> None:
            async with begin(ANN) as tx:
                await tx.chats.add(fresh, NewChat(model="m"))
                proxy.freeze()

        with pytest.raises(OutcomeUnknown), anyio.fail_after(2):
            await interrupted()
        proxy.thaw()

        assert not await exists(begin, ANN, chat_id())


async def test_a_server_that_falls_silent_before_the_rollback_does_not_hide_why(database: Database) -> None:
    proxy = DatabaseProxy(database.dsn)
    async with proxy.running(), pool(proxy.dsn) as engine:
        begin = PostgresUnitOfWork(engine, replace(LIMITS, ending=timedelta(milliseconds=100)))

        async def refused() -> None:
            async with begin(ANN) as tx:
                await tx.chats.add(chat_id(), NewChat(model="m"))
                proxy.freeze()
                raise ChatNotFound

        with pytest.raises(ChatNotFound), anyio.fail_after(2):
            await refused()
        proxy.thaw()

        assert not await exists(begin, ANN, chat_id())


async def test_who_waits_too_long_for_a_row_is_told_to_come_back(
    engine: ConnectionPool, second: ConnectionPool
) -> None:
    holder = PostgresUnitOfWork(engine, LIMITS)
    waiter = PostgresUnitOfWork(second, replace(LIMITS, lock=timedelta(milliseconds=100)))
    hers = await add(holder, ANN)
    async with holder(ANN) as tx:
        await tx.chats.change(hers, ChatChange(title="held"))
        with pytest.raises(ServiceUnavailable), anyio.fail_after(3):
            async with waiter(ANN) as other:
                await other.chats.change(hers, ChatChange(title="waited"))


async def test_a_statement_that_takes_too_long_is_stopped_by_the_server(engine: ConnectionPool) -> None:
    begin = PostgresUnitOfWork(engine, replace(LIMITS, statement=timedelta(milliseconds=50)))
    with pytest.raises(ServiceUnavailable), anyio.fail_after(3):
        async with begin(ANN) as tx:
            await scalar(tx, "SELECT pg_sleep(30)")
    assert not await exists(begin, ANN, chat_id())


async def test_of_two_that_wait_for_each_other_one_may_try_again(
    engine: ConnectionPool, second: ConnectionPool
) -> None:
    begin, rival = PostgresUnitOfWork(engine, LIMITS), PostgresUnitOfWork(second, LIMITS)
    mine, theirs = await add(begin, ANN), await add(begin, ANN)
    outcomes: list[str] = []
    both_hold_one = [anyio.Event(), anyio.Event()]

    async def cross(unit: PostgresUnitOfWork, order: tuple[ChatId, ChatId], me: int) -> None:
        try:
            async with unit(ANN) as tx:
                await tx.chats.change(order[0], ChatChange(title="x"))
                both_hold_one[me].set()
                await both_hold_one[1 - me].wait()
                await tx.chats.change(order[1], ChatChange(title="x"))
            outcomes.append("done")
        except TransactionConflict:
            outcomes.append("conflict")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cross, begin, (mine, theirs), 0)
            tasks.start_soon(cross, rival, (theirs, mine), 1)
    assert sorted(outcomes) == ["conflict", "done"]


# Races


async def test_deleting_a_chat_flags_the_turn_that_a_send_was_just_committing(
    engine: ConnectionPool, second: ConnectionPool, admin: Admin
) -> None:
    """The send holds the chat's row; the deletion waits for it and must then see the turn it made."""
    sender, deleter = PostgresUnitOfWork(second, LIMITS), PostgresUnitOfWork(engine, LIMITS)
    await admin.execute("SET session_replication_role = replica")
    back_door = InPostgres(engine, admin)
    hers = await add(sender, ANN)
    turn = a_turn(hers)
    deletions: list[Deletion | None] = []

    async def delete() -> None:
        async with deleter(ANN) as tx:
            deletions.append(await tx.chats.soft_delete(hers))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks, sender(ANN) as tx:
            await tx.chats.change(hers, ChatChange(title="locked by the send"))
            tasks.start_soon(delete)
            await wait_for(admin, "bool_or(wait_event_type = 'Lock')")
            await back_door.put_turn(ANN, turn)

    assert deletions == [Deletion(running_turn=RunningTurn(turn_id=turn.id, owner_id=None, owner_epoch=1))]
    assert await back_door.cancel_reason(ANN, turn.id) == "chat_deleted"
