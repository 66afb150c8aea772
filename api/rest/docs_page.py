"""The OpenAPI document and a page to read and try it, served without any other host.

The page's Content-Security-Policy forbids every foreign origin, so a browser proves the promise on each visit.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
import msgspec
from litestar import Controller, Litestar, Request, Response, get
from litestar.params import FromPath

from api.rest.openapi import openapi_document
from api.rest.refusals import AddressNotFound

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>mini-chat API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><link rel="stylesheet" href="{docs}/swagger_style.css"></head>
<body><div id="ui"></div><script src="{docs}/swagger_bundle.js"></script><script src="{docs}/start.js"></script>
</body></html>
"""
_START = """SwaggerUIBundle({{url: "{openapi}", dom_id: "#ui", validatorUrl: null, deepLinking: true}});
"""
_ASSETS = {
    "swagger_style.css": "text/css",
    "swagger_bundle.js": "text/javascript",
}


def create_docs_controller(gateway_prefix: str, version: str) -> type[Controller]:
    docs, openapi = f"{gateway_prefix}/docs", f"{gateway_prefix}/openapi.json"

    class DocsController(Controller):
        include_in_schema = False
        path = gateway_prefix

        @get("/openapi.json", status_code=200)
        async def document(self, request: Request[Any, Any, Any]) -> Response[bytes]:
            return Response(_rendered(request.app, version), media_type="application/json")

        @get("/docs", status_code=200)
        async def page(self) -> Response[str]:
            headers = {"Content-Security-Policy": _POLICY}
            return Response(_PAGE.format(docs=docs), media_type="text/html", headers=headers)

        @get("/docs/start.js", status_code=200)
        async def start(self) -> Response[str]:
            return Response(_START.format(openapi=openapi), media_type=_ASSETS["swagger_bundle.js"])

        @get("/docs/{asset:str}", status_code=200)
        async def asset(self, asset: FromPath[str]) -> Response[bytes]:
            media_type = _ASSETS.get(asset)
            if media_type is None:
                raise AddressNotFound
            content = await anyio.Path(_asset_folder() / asset).read_bytes()
            return Response(content, media_type=media_type, headers={"Cache-Control": "public, max-age=3600"})

    return DocsController


@cache
def _rendered(app: Litestar, version: str) -> bytes:
    """Made when somebody first asks: it costs more than the rest of the start."""
    return msgspec.json.encode(openapi_document(app.routes, version=version))


@cache
def _asset_folder() -> Path:
    """The files of the distribution, without importing it: its import reads all of them."""
    spec = find_spec("offapi")
    assert spec is not None and spec.origin is not None  # noqa: PT018, S101 - a declared dependency
    return Path(spec.origin).parent
