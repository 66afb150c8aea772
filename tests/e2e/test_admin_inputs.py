"""What administrators send amiss over sockets: it is told where the fault lies, and never ours."""

from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import pytest

from tests.harness.operator import SWITCHES, Operator
from tests.harness.postgres import Database
from tests.harness.service import serving, settings

SWITCH: Final[dict[str, Any]] = {"scope": "model", "target": "quick", "reason": "a test"}
BEYOND_BIGINT: Final = 2**63
TENANT: Final = f"admin/quotas/tenants/{uuid4()}"
NOBODY: Final = f"{TENANT}/users/{UUID(int=0)}"
NO_LIMITS: Final[dict[str, Any]] = {"tenant_limits": {}, "user_defaults": {}}

AMISS: Final[tuple[tuple[str, str, Any, str], ...]] = (
    ("PUT", SWITCHES, SWITCH | {"target": "*"}, "target"),
    ("PUT", SWITCHES, SWITCH | {"scope": "provider", "target": "*"}, "target"),
    ("PUT", SWITCHES, SWITCH | {"expires_at": "9999-12-31T23:59:59-12:00"}, "expires_at"),
    ("PUT", f"{SWITCHES}?dry_run=true", SWITCH | {"expires_at": "9999-12-31T23:59:59-12:00"}, "expires_at"),
    ("PUT", SWITCHES, SWITCH | {"expected_version": BEYOND_BIGINT}, "expected_version"),
    ("PUT", TENANT, NO_LIMITS | {"expected_version": BEYOND_BIGINT}, "expected_version"),
    ("PUT", f"{TENANT}/users/{uuid4()}", {"limits": {}, "expected_version": BEYOND_BIGINT}, "expected_version"),
    ("PUT", NOBODY, {"limits": {}}, "user_id"),
    ("GET", NOBODY, None, "user_id"),
)


@pytest.mark.timeout(120)
async def test_a_value_that_no_row_can_hold_is_refused_by_its_name(tmp_path: Path, database: Database) -> None:
    env = settings(database, {"quick": "mock-len5"}, None)
    async with serving(tmp_path, database, env) as service, service.caller() as caller:
        operator = Operator(caller.under(await service.token("operations", "olga", "admin")))
        for method, path, body, field in AMISS:
            answer = await operator.client.ask(method, path, body)
            assert (answer.status, [fault["field"] for fault in answer.json()["errors"]]) == (400, [field]), path
