"""The help page behind every problem `type` (api.md 3.12)."""

from collections.abc import Iterable
from html import escape
from typing import Any

import msgspec
from litestar import Controller, Request, Response, get
from litestar.params import FromPath

from api.rest.codes import CODES, Code
from api.rest.refusals import AddressNotFound

_STYLE = "body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem}dt{font-weight:600}"
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head>
<body>{body}</body></html>
"""
_HTML = "text/html"
_POLICY = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}


class CodeOut(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    status: int
    summary: str
    remedy: str
    retryable: bool

    @classmethod
    def of(cls, code: Code) -> "CodeOut":
        return cls(
            code=code.code, status=code.status, summary=code.summary, remedy=code.remedy, retryable=code.retryable
        )


class CodesOut(msgspec.Struct, frozen=True, kw_only=True):
    items: tuple[CodeOut, ...]


class ProblemPages(Controller):
    path = "/problems"
    tags = ("Operations",)

    @get("", status_code=200, summary="All codes this server answers with")
    async def list_problems(self, request: Request[Any, Any, Any]) -> Response[CodesOut]:
        if _wants_json(request):
            return Response(CodesOut(items=tuple(map(CodeOut.of, CODES.values()))), media_type="application/json")
        return _html("Problems", _index(CODES.values()))

    @get("/{code:str}", status_code=200, summary="What a code means and what to do about it")
    async def get_problem(self, code: FromPath[str], request: Request[Any, Any, Any]) -> Response[CodeOut]:
        known = CODES.get(code)
        if known is None:
            raise AddressNotFound
        if _wants_json(request):
            return Response(CodeOut.of(known), media_type="application/json")
        return _html(known.code, _details(known))


def _wants_json(request: Request[Any, Any, Any]) -> bool:
    return request.accept.best_match(["text/html", "application/json"]) == "application/json"


def _html(title: str, body: str) -> Response[Any]:
    page = _PAGE.format(title=escape(title), style=_STYLE, body=body)
    return Response(page, media_type=_HTML, headers=_POLICY)


def _index(codes: Iterable[Code]) -> str:
    rows = "".join(
        f'<li><a href="problems/{escape(code.code)}"><code>{escape(code.code)}</code></a> '
        f"({code.status}): {escape(code.summary)}</li>"
        for code in codes
    )
    return f"<h1>Problems</h1><ul>{rows}</ul>"


def _details(code: Code) -> str:
    return (
        f"<h1><code>{escape(code.code)}</code></h1><p>{escape(code.summary)}</p><dl>"
        f"<dt>HTTP status</dt><dd>{code.status}</dd>"
        f"<dt>What to do</dt><dd>{escape(code.remedy)}</dd>"
        f"<dt>May the same request succeed later?</dt><dd>{'yes' if code.retryable else 'no'}</dd></dl>"
    )
