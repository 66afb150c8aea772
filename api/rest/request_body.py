"""The reading of a request body: media type, size, patience; then its strict decoding."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import anyio
import msgspec
from litestar import Request
from litestar.datastructures import Headers
from litestar.handlers import BaseRouteHandler
from typing_extensions import override

from api.rest import json_guard
from api.rest.refusals import RequestTimeout
from domain.errors import BodyTooLarge, InvalidRequest, UnsupportedContentType


class BodyLimits(msgspec.Struct, frozen=True, kw_only=True):
    """`stall`: how long a body may make no progress (api.md 1.4)."""

    max_bytes: int = 16 * 1024 * 1024
    stall: timedelta = timedelta(seconds=30)


def strict_request(limits: BodyLimits) -> type[Request[Any, Any, Any]]:
    """The request class of every handler: what it hands to a `data` parameter is already the struct asked for.

    The framework would coerce ("1" for 1); a finished struct it passes on untouched.
    """

    class StrictRequest(Request[Any, Any, Any]):
        _read_before: bytes | None = None

        @override
        async def body(self) -> bytes:
            """Raises UnsupportedContentType, BodyTooLarge, RequestTimeout, and InvalidRequest for a missing body."""
            if self._read_before is None:
                _refuse_other_media(self)
                self._read_before = await _read(self, limits)
                _refuse_missing(self._read_before, self.route_handler)
            return self._read_before

        @override
        async def json(self) -> Any:
            """Raises InvalidRequest as well when the body is not what the handler's `data` asks for."""
            field = self.route_handler.parsed_data_field
            return json_guard.decode(await self.body(), field.annotation if field is not None else Any)

    return StrictRequest


def declared_length(headers: Headers) -> int | None:
    """What Content-Length says; None when absent. Raises InvalidRequest for nonsense."""
    text = headers.get("content-length")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20):  # noqa: PLR2004 - digits of 2**63
        raise InvalidRequest.of("Content-Length", "This is not a length.", "invalid_value")
    return int(text)


def refuse_declared_size(headers: Headers, limits: BodyLimits) -> None:
    """Raises BodyTooLarge before a single byte is read, InvalidRequest for a length that is none."""
    length = declared_length(headers)
    if length is not None and length > limits.max_bytes:
        raise BodyTooLarge(limits.max_bytes)


def _refuse_other_media(request: Request[Any, Any, Any]) -> None:
    content_type = request.headers.get("content-type")
    # Clients name a type for an empty body too, where they may leave it out.
    if _announces_no_body(request) and (content_type is None or not _needs_body(request.route_handler)):
        return
    media_type, *parameters = (part.strip().lower() for part in (content_type or "").split(";"))
    if media_type != "application/json" or not all(map(_is_utf8, _charsets(parameters))):
        raise UnsupportedContentType
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedContentType("The request body must not be compressed.")


def _announces_no_body(request: Request[Any, Any, Any]) -> bool:
    return not declared_length(request.headers) and "transfer-encoding" not in request.headers


def _charsets(parameters: list[str]) -> Iterator[str]:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "charset":
            yield value.strip('"')


def _is_utf8(charset: str) -> bool:
    return charset in {"utf-8", "utf8", "us-ascii"}


def _refuse_missing(body: bytes, handler: BaseRouteHandler) -> None:
    if not body and _needs_body(handler):
        raise InvalidRequest.of("body", "A JSON body is required.", "required")


def _needs_body(handler: BaseRouteHandler) -> bool:
    field = handler.parsed_data_field
    return field is not None and field.is_required


async def _read(request: Request[Any, Any, Any], limits: BodyLimits) -> bytes:
    body = bytearray()
    while True:
        message = await _next_message(request, limits.stall)
        if message["type"] == "http.disconnect":
            raise InvalidRequest.of("body", "The body ended early.", "syntax")
        body += message.get("body", b"")
        if len(body) > limits.max_bytes:
            raise BodyTooLarge(limits.max_bytes)
        if not message.get("more_body", False):
            return bytes(body)


async def _next_message(request: Request[Any, Any, Any], patience: timedelta) -> Any:
    try:
        with anyio.fail_after(patience.total_seconds()):
            return await request.receive()
    except TimeoutError:
        raise RequestTimeout from None
