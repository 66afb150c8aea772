"""A way around the layers between a stream and the server, which have nothing to do once an answer has started."""

from typing import Any, cast

from litestar.types import Scope, Send

_KEY = "mini_chat.direct_send"


def offer_direct_send(scope: Scope, send: Send) -> None:
    cast("dict[str, Any]", scope)[_KEY] = send


def direct_send(scope: Scope, send: Send) -> Send:
    """The server's own `send`, for body messages of an answer that has started through `send`."""
    return cast("Send", cast("dict[str, Any]", scope).get(_KEY, send))
