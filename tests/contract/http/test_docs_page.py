import re

import pytest

from tests.contract.http.world import create_world

FOREIGN = re.compile(rb"""(?:src|href|url|import)\s*[=(]\s*["']?\s*(?:[a-z]+:)?//""", re.IGNORECASE)


@pytest.mark.parametrize("prefix", ["", "/ai"])
async def test_the_page_and_everything_it_names_come_from_this_server(prefix: str) -> None:
    world = create_world(gateway_prefix=prefix)
    page = await world.call("GET", f"{prefix}/docs", who=None)
    assert (page.status, page.header("Content-Type")) == (200, "text/html; charset=utf-8")
    assert not FOREIGN.search(page.body)
    named = re.findall(rb'(?:src|href)="([^"]+)"', page.body)
    addresses = [address.decode() for address in named if not address.startswith(b"data:")]
    assert len(addresses) == 3
    for address in addresses:
        asset = await world.call("GET", address, who=None)
        assert asset.status == 200, address
        assert asset.body
    start = await world.call("GET", f"{prefix}/docs/start.js", who=None)
    (document,) = re.findall(rb'url: "([^"]+)"', start.body)
    assert (await world.call("GET", document.decode(), who=None)).json()["openapi"].startswith("3.1")


async def test_the_browser_is_told_to_ask_no_other_host() -> None:
    page = await create_world().call("GET", "/docs", who=None)
    policy = dict(part.strip().split(" ", 1) for part in (page.header("Content-Security-Policy") or "").split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert "'unsafe-inline'" not in policy["script-src"]
    assert not any("//" in sources or "*" in sources for sources in policy.values())
    assert b"<script>" not in page.body


async def test_the_style_sheet_loads_nothing_from_elsewhere() -> None:
    style = await create_world().call("GET", "/docs/swagger_style.css", who=None)
    assert (style.header("Content-Type") or "").startswith("text/css")
    assert not re.search(rb"(?:url\(|@import)\s*[\"']?+(?!data:)", style.body)


@pytest.mark.parametrize("asset", ["redoc.js", "__init__.py", "..%2f__init__.py", "swagger_bundle.js%00", "%2e%2e"])
async def test_no_other_file_is_served(asset: str) -> None:
    assert (await create_world().call("GET", f"/docs/{asset}", who=None)).status == 404
