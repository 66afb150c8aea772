"""An OData client of somebody else reads a list: its filters, orders and limits are ours as they stand."""

from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio
import msgspec
import pytest
import requests
from odata import ODataService
from odata.property import DatetimeProperty, IntegerProperty, StringProperty, UUIDProperty
from typing_extensions import override

from tests.harness.client import API, Client
from tests.harness.service import Service

_SENDS = 3
_PAGE = 4


class _Renaming(requests.Session):
    """Asks for small pages, and rewrites our envelope as an OData service would write it."""

    @override
    def request(self, method: str, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        options = kwargs.pop("params", None) or ""
        if "cursor" not in str(url) and "top" not in options:
            options += f"&$top={_PAGE}"
        kwargs["params"] = options
        response = super().request(method, url, *args, **kwargs)
        response.raise_for_status()
        envelope = {"value": response.json()["items"]}
        if "next" in response.links:
            envelope["@odata.nextLink"] = response.links["next"]["url"]
        response._content = msgspec.json.encode(envelope)
        return response


def _found(client: Client, chat_id: str) -> dict[str, list[int]]:
    with _Renaming() as session:
        session.headers["Authorization"] = client.credential
        url = f"{client.server.url}{API}/chats/{chat_id}/"
        service = ODataService(url, reflect_entities=False, session=session, quiet_progress=True)
        message: Any = type(
            "Message",
            (service.Entity,),
            {
                "__odata_type__": "Message",
                "__odata_collection__": "messages",
                "id": UUIDProperty("id", primary_key=True),
                "seq": IntegerProperty("seq"),
                "role": StringProperty("role"),
                "created_at": DatetimeProperty("created_at"),
            },
        )
        messages = service.query(message)
        first = messages.first()
        return {
            "all": [row.seq for row in messages],
            "users, newest first": [
                row.seq for row in messages.filter(message.role == "user").order_by(message.seq.desc()).limit(3)
            ],
            "either": [row.seq for row in messages.filter((message.seq <= 1) | (message.role.startswith("assist")))],
            "by id": [row.seq for row in messages.filter(message.id == first.id)],
            "of the future": [
                row.seq for row in messages.filter(message.created_at > datetime(9000, 1, 1, tzinfo=UTC))
            ],
            "quoted": [row.seq for row in messages.filter(message.role == "o'clock")],
        }


@pytest.mark.timeout(120)
async def test_an_odata_client_reads_all_pages_filters_and_orders(service: Service) -> None:
    async with service.caller(await service.token("odata", "ada")) as client:
        chat_id = await client.chat()
        for number in range(_SENDS):
            await client.told(chat_id, f"Hello {number}")
        answer = await client.ask("GET", f"chats/{chat_id}/messages?limit=100")
        messages = answer.json()["items"]
        found = await anyio.to_thread.run_sync(partial(_found, client, chat_id))
    seqs = [message["seq"] for message in messages]
    roles = {message["seq"]: message["role"] for message in messages}
    users = [seq for seq in seqs if roles[seq] == "user"]
    assert len(seqs) == 2 * _SENDS
    assert found == {
        "all": seqs,
        "users, newest first": users[:-4:-1],
        "either": [seq for seq in seqs if seq <= 1 or roles[seq] == "assistant"],
        "by id": seqs[:1],
        "of the future": [],
        "quoted": [],
    }
