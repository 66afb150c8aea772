from datetime import UTC, datetime
from uuid import UUID

from domain.ids import ChatId, MessageId, RequestId, TurnId
from domain.messages.models import Message, Role
from domain.providers.events import Citation, Finish, Span
from tests.contract.http.world import CHATS, PEOPLE, World, create_world
from tests.fakes.tables import MessageRecord

REQUEST_ID = RequestId(UUID(int=5))
MOMENT = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
QUESTION = Message(
    id=MessageId(UUID(int=6)),
    request_id=REQUEST_ID,
    role=Role.USER,
    content="Déjà vu?",
    seq=1,
    is_partial=False,
    created_at=MOMENT,
    metadata={"a": "b"},
)
ANSWER = Message(
    id=MessageId(UUID(int=7)),
    request_id=REQUEST_ID,
    role=Role.ASSISTANT,
    content="Yes",
    seq=2,
    is_partial=True,
    created_at=MOMENT,
    model="first",
    finish_reason=Finish.STOP,
    citations=(Citation(source="web", title="T", url="https://example.org", snippet="S", span=Span(start=0, end=1)),),
    input_tokens=12,
    output_tokens=0,
)
QUESTION_JSON = (
    '{"id":"00000000-0000-0000-0000-000000000006","request_id":"00000000-0000-0000-0000-000000000005",'
    '"role":"user","content":"Déjà vu?","attachments":[],"my_reaction":null,'
    '"created_at":"2026-03-01T09:30:00.000000Z","seq":1,"status":"complete","metadata":{"a":"b"}}'
)
ANSWER_JSON = (
    '{"id":"00000000-0000-0000-0000-000000000007","request_id":"00000000-0000-0000-0000-000000000005",'
    '"role":"assistant","content":"Yes","attachments":[],"my_reaction":null,"model":"first","input_tokens":12,'
    '"created_at":"2026-03-01T09:30:00.000000Z","seq":2,"status":"partial","finish_reason":"stop",'
    '"citations":[{"source":"web","title":"T","url":"https://example.org","snippet":"S","span":{"start":0,"end":1}}]}'
)


async def world_with_messages() -> tuple[World, str]:
    world = create_world()
    chat_id = (await world.new_chat())["id"]
    tables = world.store.committed[PEOPLE["ann"].tenant_id]
    for message in (ANSWER, QUESTION):
        tables.messages[message.id] = MessageRecord(
            chat_id=ChatId(UUID(chat_id)), turn_id=TurnId(UUID(int=8)), message=message
        )
    return world, f"{CHATS}/{chat_id}/messages"


async def test_messages_stand_in_the_order_they_were_said_to_the_byte() -> None:
    world, address = await world_with_messages()
    page_info = '{"next_cursor":null,"prev_cursor":null,"limit":20}'
    expected = f'{{"items":[{QUESTION_JSON},{ANSWER_JSON}],"page_info":{page_info}}}'
    assert (await world.call("GET", address)).body.decode() == expected


async def test_messages_come_in_pages() -> None:
    world, address = await world_with_messages()
    first = (await world.call("GET", f"{address}?limit=1")).json()
    second = (await world.call("GET", f"{address}?limit=1&cursor={first['page_info']['next_cursor']}")).json()
    assert [page["items"][0]["seq"] for page in (first, second)] == [1, 2]
    assert second["page_info"]["next_cursor"] is None


async def test_the_chat_counts_its_messages() -> None:
    world, address = await world_with_messages()
    assert (await world.call("GET", address.removesuffix("/messages"))).json()["message_count"] == 2
