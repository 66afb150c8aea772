"""Noticing that the client has gone."""

from litestar.types import Receive


async def client_gone(receive: Receive) -> None:
    """Returns when the connection is closed; whatever else the client still sends is not listened to."""
    while (await receive())["type"] != "http.disconnect":
        pass
