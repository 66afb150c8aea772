"""Events belong to their tenant, are kept with what they report, and each key only once."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from domain.audit.events import About, Actor, EventType, NewEvent, Stream, audit_event
from domain.ids import TurnId, uuid7
from domain.scope import AccessScope
from domain.unit_of_work import Access, LostRace
from tests.contract.store.backends import Store
from tests.contract.store.samples import a_chat_id, somebody


def an_event(scope: AccessScope, **members: Any) -> NewEvent:
    now = datetime.now(UTC)
    return audit_event(EventType.CHAT_CREATED, scope, Actor.behind(scope), now, About(chat_id=a_chat_id()), **members)


async def test_an_event_is_found_as_it_was_told(store: Store) -> None:
    ann = somebody()
    event = an_event(ann, details={"model": "m"})
    async with store.begin(ann) as tx:
        await tx.events.add(event)
    async with store.begin(ann, Access.READ) as tx:
        found = await tx.events.find(Stream.AUDIT, event.id)
    assert found is not None
    assert (found.dedupe_key, found.event_type) == (f"{ann.tenant_id}/{event.id}", "chat_created")
    body = msgspec.json.decode(found.body)
    assert body == msgspec.json.decode(msgspec.json.encode(event.body))
    assert (body["model"], body["actor"]["id"], body["outcome"]) == ("m", str(ann.user_id), "success")


async def test_an_event_is_of_one_stream_and_one_tenant(store: Store) -> None:
    ann, bob = somebody(), somebody()
    event = an_event(ann)
    async with store.begin(ann) as tx:
        await tx.events.add(event)
        assert await tx.events.find(Stream.USAGE, event.id) is None
    async with store.begin(bob, Access.READ) as tx:
        assert await tx.events.find(Stream.AUDIT, event.id) is None


async def test_what_happens_once_is_told_once(store: Store) -> None:
    ann = somebody()
    turn = About(turn_id=TurnId(uuid7(datetime.now(UTC))))
    first, second = (
        audit_event(EventType.TURN_DELETE, ann, Actor.behind(ann), datetime.now(UTC), turn, once="turn_delete")
        for _ in range(2)
    )
    assert first.dedupe_key == f"{ann.tenant_id}/{turn.turn_id}/turn_delete"
    async with store.begin(ann) as tx:
        await tx.events.add(first)
    with pytest.raises(LostRace, match="ux_audit_events_dedupe_key"):
        await _told(store, ann, second)


async def test_nothing_is_told_of_what_was_not_done(store: Store) -> None:
    ann = somebody()
    event = an_event(ann)
    with pytest.raises(ZeroDivisionError):
        await _told(store, ann, event, ZeroDivisionError())
    async with store.begin(ann, Access.READ) as tx:
        assert await tx.events.find(Stream.AUDIT, event.id) is None


async def _told(store: Store, scope: AccessScope, event: NewEvent, then: Exception | None = None) -> None:
    async with store.begin(scope) as tx:
        await tx.events.add(event)
        if then is not None:
            raise then
