"""A process that cannot find out what is switched off is not ready."""

from pathlib import Path

from tests.harness.assembled import assembled_app
from tests.harness.bridge import request


async def test_a_process_that_knows_no_switches_is_not_ready(tmp_path: Path) -> None:
    answer = await request(assembled_app(tmp_path), "GET", "/readyz")
    assert answer.status == 503
    assert answer.json()["checks"]["catalogue"] == "failed"
