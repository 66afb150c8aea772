"""The issuer over a real socket, in every mood."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from aiohttp import web

from infra.auth.key_sources import MAX_DOCUMENT_BYTES, JwksAddress, KeyFile
from tests.unit.infra.auth.signing import EC_KEY, PUBLISHED, RSA_KEY, pem

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
DEADLINE = timedelta(seconds=5)


@asynccontextmanager
async def issuer(answer: Answer) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/jwks", answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/jwks"
    finally:
        await runner.cleanup()


def says(body: bytes, status: int = 200, content_type: str = "application/json") -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=status, content_type=content_type)

    return answer


async def test_published_keys_are_read() -> None:
    async with issuer(says(PUBLISHED)) as url:
        ring = await JwksAddress(url, DEADLINE).load()
    assert ring is not None
    assert ring.find("rsa-1", "RS256") == RSA_KEY.public_key()
    assert ring.find("ec-1", "ES256") == EC_KEY.public_key()


@pytest.mark.parametrize(
    "answer",
    [
        says(b"<!doctype html><html>Sign in</html>", content_type="text/html"),
        says(PUBLISHED, status=500),
        says(PUBLISHED, status=404),
        says(b""),
        says(PUBLISHED + b" " * MAX_DOCUMENT_BYTES),
    ],
)
async def test_an_answer_that_is_no_key_set_gives_no_keys(answer: Answer) -> None:
    async with issuer(answer) as url:
        assert await JwksAddress(url, DEADLINE).load() is None


async def test_an_endless_answer_is_left_at_the_bound() -> None:
    sent_bytes = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal sent_bytes
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65_536)
            sent_bytes += 65_536

    with anyio.fail_after(5):
        async with issuer(answer) as url:
            assert await JwksAddress(url, timedelta(minutes=1)).load() is None
    assert sent_bytes < 64 * MAX_DOCUMENT_BYTES


@pytest.mark.parametrize("sends_head", [False, True])
async def test_a_slow_issuer_is_left_at_the_deadline(*, sends_head: bool) -> None:
    left = anyio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if sends_head:
            await response.prepare(request)
        await left.wait()
        return response

    async with issuer(answer) as url:
        with anyio.fail_after(5):
            assert await JwksAddress(url, timedelta(milliseconds=50)).load() is None
        left.set()


async def test_a_redirect_is_not_followed() -> None:
    reached = False

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal reached
        if "moved" in request.query:
            reached = True
            return web.Response(body=PUBLISHED)
        raise web.HTTPFound("/jwks?moved")

    async with issuer(answer) as url:
        assert await JwksAddress(url, DEADLINE).load() is None
    assert not reached


async def test_an_issuer_that_is_down_gives_no_keys() -> None:
    async with issuer(says(PUBLISHED)) as url:
        pass
    assert await JwksAddress(url, DEADLINE).load() is None


async def test_a_file_holds_a_key_set_or_one_key(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_bytes(PUBLISHED)
    ring = await KeyFile(path).load()
    assert ring is not None
    assert ring.find("rsa-1", "RS256") is not None
    path.write_bytes(pem(EC_KEY))
    ring = await KeyFile(path).load()
    assert ring is not None
    assert ring.find(None, "ES256") is not None


async def test_a_file_that_cannot_be_used_gives_no_keys(tmp_path: Path) -> None:
    assert await KeyFile(tmp_path / "missing").load() is None
    (tmp_path / "empty").write_bytes(b"")
    assert await KeyFile(tmp_path / "empty").load() is None
