"""The audit that operators run: nothing is wrong, something is, or it could not be seen."""

import asyncio
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from click.testing import CliRunner

from app.cli import main
from infra.postgres.audit.auditor import audit
from infra.postgres.audit.checks import CHECKS
from infra.postgres.unusable import DatabaseUnusable
from tests.harness.jobs import a_job, enqueue, transactions
from tests.harness.postgres import Database
from tests.harness.rows import FAR_AWAY, Tenant, add_chat, add_running_turn, connected

pytestmark = pytest.mark.postgres

DOCUMENTED = (Path(__file__).resolve().parents[3] / "docs" / "operations.md").read_text()


async def _violated(database: Database) -> dict[str, int]:
    findings = await audit(database.superuser_dsn)
    assert [finding.check for finding in findings] == list(CHECKS)
    return {finding.check: finding.violations for finding in findings if finding.violations}


async def test_an_empty_database_is_in_order(database: Database) -> None:
    assert await _violated(database) == {}


async def test_what_is_wrong_is_named_and_counted(database: Database) -> None:
    tenant = Tenant()
    async with connected(database.superuser_dsn) as connection:
        await add_chat(connection, tenant)
        async with connection.transaction():
            await add_running_turn(connection, tenant, lease_until=FAR_AWAY)
        assert await _violated(database) == {"message_beyond_the_last_number_of_its_chat": 1}
        await connection.execute("UPDATE mini_chat.chats SET last_seq = 2")
        await connection.execute("UPDATE mini_chat.chat_turns SET lease_until = now() - interval '1 hour'")
        async with transactions(database.dsn) as begin:
            await enqueue(begin, a_job(), a_job())
        await connection.execute("UPDATE mini_chat.jobs SET execute_after = now() - interval '1 hour'")
        await connection.execute("GRANT SELECT ON mini_chat.chats TO PUBLIC")
    assert await _violated(database) == {
        "running_turn_whose_lease_ran_out_long_ago": 1,
        "job_that_nobody_takes": 2,
        "gap_between_tenants": 1,
    }
    (gap,) = [finding for finding in await audit(database.superuser_dsn) if finding.check == "gap_between_tenants"]
    assert "PUBLIC holds SELECT" in gap.sample


async def test_a_login_that_cannot_see_everything_finds_nothing_out(database: Database) -> None:
    with pytest.raises(DatabaseUnusable, match="BYPASSRLS"):
        await audit(database.dsn)


def _auditor(name: str) -> str:
    """The statements that the documentation gives to operators, for another name."""
    start = DOCUMENTED.index("CREATE ROLE mini_chat_auditor")
    statements = DOCUMENTED[start : DOCUMENTED.index("```", start)]
    return statements.replace("mini_chat_auditor", name).replace("'…'", "'disposable'")


async def test_the_documented_login_sees_everything_and_changes_nothing(database: Database) -> None:
    name = f"auditor_{uuid4().hex}"
    async with connected(database.superuser_dsn) as connection:
        await connection.execute(_auditor(name))
        try:
            dsn = database.dsn.replace("mini_chat_app", name, 1)
            findings = await audit(dsn)
            async with connected(dsn) as auditor:
                await auditor.execute("SET default_transaction_read_only = off")
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await auditor.execute("DELETE FROM mini_chat.chats")
        finally:
            await connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")
    assert [finding.violations for finding in findings] == [0] * len(CHECKS)


@pytest.mark.parametrize(("planted", "code"), [(None, 0), ("GRANT SELECT ON mini_chat.chats TO PUBLIC", 1)])
def test_the_exit_code_says_whether_all_is_well(database: Database, planted: str | None, code: int) -> None:
    async def plant() -> None:
        async with connected(database.superuser_dsn) as connection:
            await connection.execute(planted or "SELECT 1")

    asyncio.run(plant())
    env = {"MINI_CHAT_DATABASE_URL": database.dsn, "MINI_CHAT_DATABASE_AUDIT_URL": database.superuser_dsn}
    result = CliRunner().invoke(main, ["audit"], env=env)
    assert result.exit_code == code, result.output
    assert f"gap_between_tenants {code}" in result.output
    assert CliRunner().invoke(main, ["audit"], env=env | {"MINI_CHAT_DATABASE_AUDIT_URL": database.dsn}).exit_code == 2
