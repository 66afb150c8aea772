"""GET /v1/me (api.md 3.9)."""

import pytest

from tests.contract.http.world import create_world

ME = "/mini-chat/v1/me"


async def test_a_caller_is_told_who_it_is() -> None:
    answer = await create_world().call("GET", ME)
    assert answer.status == 200
    assert answer.json() == {
        "subject_id": "00000000-0000-0000-0000-000000000001",
        "tenant_id": "00000000-0000-0000-0000-000000000001",
        "roles": ["user"],
        "features": ["ai_chat"],
        "auth_method": "jwt",
    }


@pytest.mark.parametrize("who", ["nobody", "unlicensed", "viewer"])
async def test_it_needs_neither_role_nor_licence(who: str) -> None:
    assert (await create_world().call("GET", ME, who=who)).status == 200


async def test_it_needs_a_credential() -> None:
    assert (await create_world().call("GET", ME, who=None)).status == 401
