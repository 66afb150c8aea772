"""A preview costs one message of each chat on the page, however long the chats are and however they are planned."""

from datetime import timedelta
from typing import Final

import pytest

from domain.pagination import PageQuery
from infra.postgres.unit_of_work import PostgresTransaction
from tests.contract.store.samples import somebody
from tests.harness.postgres import Database
from tests.harness.rows import connected
from tests.integration.lists.plans import PLAN_MODES, plans_of

pytestmark = pytest.mark.postgres

LIMIT: Final = 20

FILL: Final = (
    "SET session_replication_role = replica",
    """
    INSERT INTO mini_chat.chats (tenant_id, id, user_id, model, is_temporary, updated_at, deleted_at)
    SELECT $1::uuid, gen_random_uuid(), $2::uuid, 'm', false, now() - number * interval '1 minute',
        CASE WHEN number % 2 = 0 THEN now() END
    FROM generate_series(1, 300) AS number
    """,
    """
    INSERT INTO mini_chat.messages (tenant_id, id, chat_id, turn_id, request_id, seq, role, content, is_partial)
    SELECT tenant_id, gen_random_uuid(), id, gen_random_uuid(), gen_random_uuid(), seq, 'user', 'x', false
    FROM mini_chat.chats, generate_series(1, 40) AS seq
    """,
    "ANALYZE mini_chat.chats, mini_chat.messages",
)


@pytest.mark.parametrize("mode", PLAN_MODES)
@pytest.mark.parametrize("deleted", [True, False])
async def test_a_page_with_previews_reads_one_message_of_each_chat(
    database: Database, mode: str, deleted: bool
) -> None:
    ann = somebody()
    async with connected(database.superuser_dsn) as superuser:
        for statement in FILL:
            values = [ann.tenant_id, ann.user_id] if "$1" in statement else []
            await superuser.execute(statement, *values)

    async def read(tx: PostgresTransaction) -> object:
        query = PageQuery(limit=LIMIT)
        if deleted:
            return await tx.chats.restorable_page(query, timedelta(hours=1), preview=True)
        return await tx.chats.page(query, preview=True)

    (plan,) = await plans_of(database.dsn, ann, mode, read)
    assert plan.sequential_scans == [], plan.text
    assert plan.sorts == [], plan.text
    assert plan.rows_read("messages") <= LIMIT + 1, plan.text
    assert plan.rows_read("chats") <= LIMIT + 1, plan.text
