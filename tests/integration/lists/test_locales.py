"""Text is compared, ordered and lowered the same in a database of any locale."""

from collections.abc import Iterator
from datetime import timedelta

import anyio
import pytest
from sqlalchemy import select

from domain.chats.listing import CHAT_LIST
from domain.chats.models import NewChat
from domain.filters import Compare, Field, ListShape, Operand, Operator, OrderKey
from domain.pagination import PageQuery
from infra.postgres import migrate
from infra.postgres.embedded import RUNTIME_ROLE, SUPERUSER
from infra.postgres.engine import PoolLimits, create_pools
from infra.postgres.filters_sql import holds
from infra.postgres.keyset import Keyset
from infra.postgres.list_columns import ListColumns
from infra.postgres.orm.chat import ChatRow
from infra.postgres.transaction import TransactionLimits
from infra.postgres.unit_of_work import PostgresUnitOfWork
from tests.contract.store.samples import a_chat_id, somebody
from tests.harness.postgres import Database, PostgresServer
from tests.harness.rows import connected

LIMITS = PoolLimits(size=1, reserved_size=1, acquire=timedelta(seconds=5), statement=timedelta(seconds=5))
TITLE = Field("title", CHAT_LIST.fields[1].kind, nullable=True)
TITLES = ListShape(fields=(TITLE,), unique=TITLE, default_order=(OrderKey(TITLE),))


@pytest.fixture
def english_only(postgres_server: PostgresServer) -> Iterator[Database]:
    """A database whose own `lower` knows 26 letters."""
    address = postgres_server.address

    async def ask(*statements: str) -> None:
        async with connected(address(SUPERUSER, "postgres")) as admin:
            for statement in statements:
                await admin.execute(statement)

    anyio.run(ask, "CREATE DATABASE english_only TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER libc LOCALE 'C'")
    try:
        anyio.run(migrate.upgrade, address(SUPERUSER, "english_only"))
        yield Database(
            name="english_only",
            dsn=address(RUNTIME_ROLE, "english_only"),
            superuser_dsn=address(SUPERUSER, "english_only"),
        )
    finally:
        anyio.run(ask, "DROP DATABASE english_only WITH (FORCE)")


@pytest.mark.parametrize(
    ("title", "lowered"),
    [("HELLO", "hello"), ("ÄRGER", "ärger"), ("ΣΟΦΌΣ", "σοφόσ"), ("ЖУК", "жук"), ("I", "i"), ("İ", "i"), ("ẞ", "ß")],
)
async def test_lower_case_is_that_of_unicode(english_only: Database, title: str, lowered: str) -> None:
    pools = create_pools(english_only.dsn, LIMITS, application_name="locales")
    begin, ann = PostgresUnitOfWork(pools.requests, TransactionLimits()), somebody()
    condition = Compare(Operand(TITLE, lowered=True), Operator.EQ, lowered)
    try:
        async with begin(ann) as tx:
            await tx.chats.add(a_chat_id(), NewChat(model="m", title=title))
            assert len((await tx.chats.page(PageQuery(limit=1, filter=condition))).items) == 1
    finally:
        await pools.dispose()


def test_text_compares_and_orders_by_code_point() -> None:
    """The servers of the tests have no locale that would order otherwise, hence by the text."""
    columns = ListColumns(TITLES, {"title": ChatRow.title})
    keyset = Keyset(columns=columns, order=(OrderKey(TITLE),))
    ordered = str(keyset.beside(select(ChatRow.id), PageQuery(limit=1)))
    assert 'ORDER BY mini_chat.chats.title COLLATE "C" ASC' in ordered.replace("(", "").replace(")", "")
    assert 'title COLLATE "C") >' in str(holds(Compare(Operand(TITLE), Operator.GT, "a"), columns))
