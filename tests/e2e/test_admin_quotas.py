"""Administrators set limits and sum charges over real sockets; what they set counts from the next send on."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from infra.auth.principals import tenant_id_for, user_id_for
from tests.harness.client import Client
from tests.harness.operator import accepted
from tests.harness.service import Service

NOTHING: Final = {"limit_daily_credits_micro": 0, "limit_monthly_credits_micro": None}
NO_VALUES: Final = {"limit_daily_credits_micro": None, "limit_monthly_credits_micro": None}
OPEN: Final = {"total": NO_VALUES, "premium": NO_VALUES}
CLOSED: Final = {"total": NOTHING, "premium": NO_VALUES}


def of_tenant(name: str) -> str:
    return f"admin/quotas/tenants/{tenant_id_for(name)}"


def of_user(tenant: str, name: str) -> str:
    return f"{of_tenant(tenant)}/users/{user_id_for(tenant_id_for(tenant), name)}"


async def refused_scope(client: Client) -> str:
    answer = await client.ask("POST", "chats:send", {"content": "Hello"})
    assert (answer.status, answer.json()["code"]) == (429, "quota_exceeded")
    scope: str = answer.json()["quota_scope"]
    return scope


async def code_of(client: Client, method: str, path: str, body: Any = None) -> str:
    code: str = (await client.ask(method, path, body)).json()["code"]
    return code


async def test_a_limit_of_a_user_counts_from_the_next_send_on_and_for_nobody_else(service: Service) -> None:
    async with service.caller() as client:
        operator = client.under(await service.token("operations", "olga", "admin"))
        ada = client.under(await service.token("limited", "ada"))
        ben = client.under(await service.token("limited", "ben"))
        await ada.told()
        path = of_user("limited", "ada")
        unset = accepted(await operator.ask("GET", path))
        assert (unset["limits"], unset["version"]) == (OPEN, 0)
        shut = accepted(await operator.ask("PUT", path, {"limits": CLOSED, "expected_version": 0}))
        assert (shut["limits"], shut["version"], shut["effective"]["total"]["limit_daily_credits_micro"]) == (
            CLOSED,
            1,
            0,
        )
        assert accepted(await operator.ask("GET", path)) == shut
        assert await refused_scope(ada) == "total:daily"
        await ben.told()

        stale = await operator.ask("PUT", path, {"limits": OPEN, "expected_version": 0})
        assert (stale.status, stale.json()["code"], stale.json()["current_version"]) == (409, "version_conflict", 1)
        assert await refused_scope(ada) == "total:daily"
        accepted(await operator.ask("PUT", path, {"limits": OPEN, "expected_version": 1}))
        await ada.told()


async def test_limits_of_a_tenant_hold_for_all_of_it_and_for_no_other_tenant(service: Service) -> None:
    async with service.caller() as client:
        operator = client.under(await service.token("operations", "olga", "admin"))
        inside = [client.under(await service.token("shut", name)) for name in ("ada", "ben")]
        outside = client.under(await service.token("elsewhere", "ada"))
        assert await code_of(operator, "GET", of_tenant("shut")) == "tenant_not_found"
        limits = {"tenant_limits": CLOSED, "user_defaults": OPEN}
        assert accepted(await operator.ask("PUT", of_tenant("shut"), limits))["version"] == 1
        assert [await refused_scope(each) for each in inside] == ["tenant:daily"] * 2
        await outside.told()

        limits = {"tenant_limits": OPEN, "user_defaults": CLOSED, "expected_version": 1}
        accepted(await operator.ask("PUT", of_tenant("shut"), limits))
        assert [await refused_scope(each) for each in inside] == ["total:daily"] * 2
        assert await code_of(operator, "PUT", of_tenant("shut"), limits) == "version_conflict"


async def test_administrators_alone_see_and_set_them(service: Service) -> None:
    async with service.caller() as client:
        user = client.under(await service.token("acme", "ada"))
        path = of_user("acme", "ada")
        assert await code_of(user, "GET", path) == "forbidden"
        assert await code_of(user, "PUT", path, {"limits": OPEN}) == "forbidden"
        assert (
            await code_of(user, "PUT", of_tenant("acme"), {"tenant_limits": OPEN, "user_defaults": OPEN}) == "forbidden"
        )
        assert await code_of(user, "GET", "admin/usage?from=2026-01-01&to=2026-01-02") == "forbidden"
        operator = client.under(await service.token("operations", "olga", "admin"))
        negative = {"total": {"limit_daily_credits_micro": -1}, "premium": {}}
        for body in ({"limits": negative}, {}, {"limits": OPEN, "expected_version": -1}):
            assert await code_of(operator, "PUT", path, body) == "invalid_request"


async def test_what_two_users_were_charged_is_summed_and_paged(service: Service) -> None:
    today = datetime.now(UTC)
    between = f"from={(today - timedelta(days=1)):%Y-%m-%d}&to={(today + timedelta(days=2)):%Y-%m-%d}"
    async with service.caller() as client:
        operator = client.under(await service.token("operations", "olga", "admin"))
        users = [client.under(await service.token("summed", name)) for name in ("ada", "ben")]
        for turns, user in enumerate(users, 1):
            for _ in range(turns):
                await user.told()
        charges = [(await user.ask("GET", "usage")).json()["items"] for user in users]
        path = f"admin/usage?{between}&tenant_id={tenant_id_for('summed')}"
        (whole,) = accepted(await operator.ask("GET", path))["items"]
        assert (whole["tenant_id"], whole["turns"]) == (str(tenant_id_for("summed")), 3)
        for member in ("input_tokens", "output_tokens", "credits_micro"):
            assert whole[member] == sum(charge[member] for items in charges for charge in items)
        path += "&group_by=user,day&limit=1"
        first = accepted(await operator.ask("GET", path))
        second = accepted(await operator.ask("GET", f"{path}&cursor={first['page_info']['next_cursor']}"))
        assert second["page_info"]["next_cursor"] is None
        found = {item["user_id"]: item["turns"] for page in (first, second) for item in page["items"]}
        assert found == {str(user_id_for(tenant_id_for("summed"), name)): n for n, name in ((1, "ada"), (2, "ben"))}
        other = f"{path}&model=quick&cursor={first['page_info']['next_cursor']}"
        assert await code_of(operator, "GET", other) == "invalid_cursor"
