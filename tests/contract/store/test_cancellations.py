"""What the port Cancellations promises, of the store in memory and of PostgreSQL alike."""

from uuid import uuid4

from domain.ids import TurnId
from domain.scope import AccessScope
from domain.streaming.models import StopReason
from domain.turns.models import TurnEnding, TurnState
from domain.unit_of_work import Access
from tests.contract.store.backends import Store
from tests.contract.store.samples import a_turn, an_ended_turn, create, somebody


async def request(store: Store, scope: AccessScope, turn_id: TurnId, reason: StopReason) -> None:
    async with store.begin(scope) as tx:
        await tx.cancellations.request(turn_id, reason)


async def ending(store: Store, scope: AccessScope, turn_id: TurnId) -> TurnEnding | None:
    async with store.begin(scope, Access.READ) as tx:
        return await tx.cancellations.ending(turn_id)


async def test_the_first_request_stays(store: Store) -> None:
    ann = somebody()
    turn_id = await store.put_turn(ann, a_turn((await create(store, ann)).id))
    await request(store, ann, turn_id, StopReason.CANCEL_REQUESTED)
    await request(store, ann, turn_id, StopReason.CHAT_DELETED)
    assert await store.cancel_reason(ann, turn_id) == "cancel_requested"
    assert await ending(store, ann, turn_id) is None


async def test_an_ended_turn_is_left_as_it_is_and_tells_how_it_ended(store: Store) -> None:
    ann = somebody()
    turn_id = await store.put_turn(ann, an_ended_turn((await create(store, ann)).id))
    await request(store, ann, turn_id, StopReason.CANCEL_REQUESTED)
    assert await store.cancel_reason(ann, turn_id) is None
    assert await ending(store, ann, turn_id) == TurnEnding(
        state=TurnState.FAILED, output_tokens=0, upstream_closed_ms=None, charged_micro=0, released_micro=0
    )


async def test_nobody_else_cancels_it_or_learns_of_its_end(store: Store) -> None:
    ann = somebody()
    chat = await create(store, ann)
    running = await store.put_turn(ann, a_turn(chat.id))
    ended = await store.put_turn(ann, an_ended_turn(chat.id), user_seq=3)
    for stranger in (somebody(), somebody(in_tenant_of=ann)):
        await request(store, stranger, running, StopReason.CANCEL_REQUESTED)
        assert await store.cancel_reason(ann, running) is None
        assert await ending(store, stranger, ended) is None


async def test_a_turn_that_is_not_there_has_not_ended(store: Store) -> None:
    ann, nowhere = somebody(), TurnId(uuid4())
    await request(store, ann, nowhere, StopReason.CANCEL_REQUESTED)
    assert await ending(store, ann, nowhere) is None
