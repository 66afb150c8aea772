from pathlib import Path

import pytest

from api.rest.codes import CODES
from tests.contract.http.error_table import error_document
from tests.contract.http.world import create_world


@pytest.mark.parametrize("code", CODES)
async def test_every_code_has_a_page_for_people_and_one_for_programs(code: str) -> None:
    world = create_world()
    page = await world.call("GET", f"/problems/{code}", who=None)
    assert page.status == 200
    assert page.header("Content-Type") == "text/html; charset=utf-8"
    assert CODES[code].summary.encode().replace(b"'", b"&#x27;") in page.body
    entry = await world.call("GET", f"/problems/{code}", who=None, headers={"Accept": "application/json"})
    assert entry.header("Content-Type") == "application/json"
    assert entry.json() == {
        "code": code,
        "status": CODES[code].status,
        "summary": CODES[code].summary,
        "remedy": CODES[code].remedy,
        "retryable": CODES[code].retryable,
    }


async def test_the_index_names_all_codes_in_both_forms() -> None:
    world = create_world()
    page = await world.call("GET", "/problems", who=None, headers={"Accept": "text/html,*/*;q=0.1"})
    assert all(f'href="problems/{code}"'.encode() in page.body for code in CODES)
    entries = await world.call("GET", "/problems", who=None, headers={"Accept": "application/json"})
    assert [entry["code"] for entry in entries.json()["items"]] == list(CODES)


async def test_the_pages_stand_behind_the_gateway_too() -> None:
    world = create_world(gateway_prefix="/ai")
    for prefix in ("", "/ai"):
        assert (await world.call("GET", f"{prefix}/problems/unauthorized", who=None)).status == 200


@pytest.mark.parametrize("accept", ["", "*/*", "image/png", "garbage", "text/html;q=0.9,application/json;q=0.8"])
async def test_people_are_served_when_the_client_does_not_ask_for_json(accept: str) -> None:
    answer = await create_world().call("GET", "/problems/unauthorized", headers={"Accept": accept})
    assert (answer.header("Content-Type") or "").startswith("text/html")


def test_the_document_about_errors_agrees_with_the_table() -> None:
    """If this fails: python -m tests.contract.http.error_table > docs/errors.md"""
    root = Path(__file__).parents[3]
    assert (root / "docs" / "errors.md").read_text(encoding="utf-8") == error_document()
