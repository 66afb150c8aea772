"""The world of the state machine: two replicas over one database, and what each step must have come to."""

import asyncio
from collections.abc import Coroutine, Sequence
from types import NoneType
from typing import Any, ClassVar, Final, TypeAlias, TypeVar
from uuid import uuid4

import anyio
import asyncpg
from hypothesis.stateful import RuleBasedStateMachine
from msgspec.structs import replace
from typing_extensions import override

from domain.errors import (
    ChatNotFound,
    DomainError,
    GenerationInProgress,
    InvalidTurnState,
    NotLatestTurn,
    QuotaExceeded,
    RequestIdConflict,
    RequestIdReused,
)
from domain.ids import ChatId, RequestId
from domain.streaming.events import Delta
from domain.telemetry.trace_context import new_trace
from domain.turns.mutations import ChangeCommand
from domain.turns.service import Conversation
from infra.local.bus import Exchange
from tests.harness.auditor import audit
from tests.harness.engine import a_chat, a_user, read_all
from tests.harness.postgres import Database
from tests.integration.turns.machine.by_content import Ask, ByContent
from tests.integration.turns.machine.credits import Credits
from tests.integration.turns.machine.ledger import Ledger
from tests.integration.turns.machine.replica import Replica
from tests.integration.turns.machine.sends import Listener, Send, contradicts, is_new

T = TypeVar("T")
Outcomes: TypeAlias = tuple[type, ...]

A_STEP_WITHIN_S: Final = 10


class World(RuleBasedStateMachine):
    database: ClassVar[Database]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.provider = ByContent()
        self.exchange = Exchange()
        self.who = a_user()
        self.replicas: list[Replica] = []
        self.listeners: list[Listener] = []
        self.chats: list[ChatId] = []
        self.deleted: list[ChatId] = []
        self.sends: list[Send] = []

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        async def in_time() -> T:
            with anyio.fail_after(A_STEP_WITHIN_S):
                return await work

        return self.runner.run(in_time())

    def begin(self) -> None:
        self.connection: asyncpg.Connection = self.do(asyncpg.connect(self.database.superuser_dsn))
        self.ledger = Ledger(self.connection, self.who.tenant_id)
        self.credits = Credits(self.connection, self.who.tenant_id)
        self.replicas = [self.do(self.a_replica()) for _ in range(2)]
        self.chats = [self.do(a_chat(self.replicas[0].engine, self.who)) for _ in range(3)]

    async def a_replica(self) -> Replica:
        return await Replica(self.database.dsn, self.provider, self.exchange).start()

    async def check(self) -> None:
        await self.ledger.check()
        await self.credits.check()
        turns = await self.ledger.turns()
        for content, calls in self.provider.calls.items():
            assert calls <= sum(turn["asked"] == content for turn in turns), f"I-23: {content} was answered twice"
        of_key = {turn["request_id"]: turn for turn in turns}
        for listener in self.listeners:
            contradiction = contradicts(listener, of_key[listener.send.key])
            assert contradiction is None, f"I-03, I-19: {contradiction}: {listener.told}, {of_key[listener.send.key]}"

    def noted(self, send: Send) -> Send:
        self.sends.append(send)
        return send

    async def refused_as_reuse(self, at: int, send: Send) -> None:
        before = await self.ledger.turn(send.key)
        if before is None:
            return
        other = Send(command=replace(send.command, content=f"{Ask.TALK} {uuid4()}")).moved_to(before["chat_id"])
        outcome = await self.attempt(self.replicas[at], other)
        if before["chat_id"] in self.deleted:
            assert isinstance(outcome, ChatNotFound), outcome
        elif before["state"] == "completed" and before["deleted_at"] is None:
            assert isinstance(outcome, RequestIdReused), outcome
        else:
            assert isinstance(outcome, (RequestIdConflict, RequestIdReused)), outcome

    async def changed(self, at: int, send: Send, change: Send) -> None:
        old = await self.ledger.turn(send.key)
        if old is None:
            return
        may = self.may_change(old, await self.ledger.turns()) + await self.may_lack_credits()
        outcome = await self.attempt(self.replicas[at], change.moved_to(old["chat_id"]))
        assert isinstance(outcome, may), outcome
        await self.was_replaced_or_left_alone(old, change.key, replaced=is_new(outcome))

    async def turn_deleted(self, at: int, send: Send) -> None:
        old = await self.ledger.turn(send.key)
        if old is not None:
            may = self.may_change(old, await self.ledger.turns())
            outcome = await self.attempt_to_delete(self.replicas[at], old)
            assert isinstance(outcome, may), outcome

    async def changed_or_deleted(self, send: Send, change: Send) -> None:
        """One of the two wins, and the other learns that the turn is no longer the latest."""
        old = await self.ledger.turn(send.key)
        if old is not None:
            edit = self.attempt(self.replicas[0], change.moved_to(old["chat_id"]))
            outcomes = await both(edit, self.attempt_to_delete(self.replicas[1], old))
            assert any(isinstance(outcome, DomainError) for outcome in outcomes), outcomes

    async def cancelled(self, replicas: Sequence[Replica], send: Send) -> None:
        """Each receipt says what the row says, or that nobody has confirmed the end yet."""
        before = await self.ledger.turn(send.key)
        if before is None or before["chat_id"] in self.deleted:
            return
        cancel = [
            replica.engine.cancellation.cancel(self.who, before["chat_id"], before["request_id"])
            for replica in replicas
        ]
        receipts = await asyncio.gather(*cancel)
        now = await self.ledger.turn(send.key)
        for receipt in receipts:
            assert receipt.state in {now["state"], "running"}, f"I-19: {receipt}, {now}"
            assert before["state"] == "running" or receipt.state == before["state"], receipt

    async def may_lack_credits(self) -> Outcomes:
        """Turns that end meanwhile only make room."""
        return (QuotaExceeded,) if self.credits.may_refuse(await self.credits.used_micro()) else ()

    def may_change(self, old: Any, turns: list[Any]) -> Outcomes:
        """What a change of the turn may come to, by the rows before it."""
        if old["chat_id"] in self.deleted:
            return (ChatNotFound,)
        if old["state"] == "running":
            return (InvalidTurnState, GenerationInProgress, Conversation, NoneType)
        live = [turn for turn in turns if turn["chat_id"] == old["chat_id"] and turn["deleted_at"] is None]
        newest = max(live, key=lambda turn: int(turn["user_seq"]), default=None)
        return (Conversation, NoneType) if newest is not None and newest["id"] == old["id"] else (NotLatestTurn,)

    async def was_replaced_or_left_alone(self, old: Any, key: RequestId, *, replaced: bool) -> None:
        now = await self.ledger.turn(old["request_id"])
        if replaced:
            assert (now["deleted_at"] is not None, now["replaced_by_request_id"]) == (True, key), now
        else:
            assert (now["deleted_at"], now["replaced_by_request_id"]) == (
                old["deleted_at"],
                old["replaced_by_request_id"],
            ), now

    async def attempt_to_delete(self, replica: Replica, turn: Any) -> DomainError | None:
        try:
            await replica.engine.removal.remove(self.who, turn["chat_id"], turn["request_id"])
        except DomainError as refusal:
            return refusal
        return None

    async def attempt(self, replica: Replica, send: Send) -> Conversation | DomainError:
        turns, command = replica.engine.turns, send.command
        try:
            if isinstance(command, ChangeCommand):
                conversation = await turns.change(self.who, command, new_trace())
            else:
                conversation = await turns.send(self.who, command, new_trace())
        except DomainError as refusal:
            return refusal
        if conversation.is_new_turn:
            self.listeners.append(Listener(send, conversation, replica))
        return conversation

    async def sent(self, at: int, send: Send) -> None:
        """Answers as the rows before it demand."""
        before, turns = await self.ledger.turn(send.key), await self.ledger.turns()
        if before is None and isinstance(send.command, ChangeCommand):
            return
        moved = send if before is None else send.moved_to(before["chat_id"])
        lacking = await self.may_lack_credits()
        outcome = await self.attempt(self.replicas[at], moved)
        if isinstance(outcome, DomainError) and before is None:
            assert await self.ledger.turn(send.key) is None, "a refused send has left a trace"
        if before is not None or not isinstance(outcome, lacking):
            await self.judge(outcome, before, turns, send.place if before is None else before["chat_id"])

    async def judge(self, outcome: Conversation | DomainError, before: Any, turns: list[Any], chat_id: object) -> None:
        """By the rows as they were: `before` is that of the key, None where it was new."""
        if chat_id in self.deleted:
            assert isinstance(outcome, (ChatNotFound, RequestIdConflict)), outcome
        elif before is None and any(turn["chat_id"] == chat_id and turn["state"] == "running" for turn in turns):
            assert isinstance(outcome, GenerationInProgress) or is_new(outcome), outcome
        elif before is None:
            assert is_new(outcome), outcome
        elif before["state"] == "completed" and before["deleted_at"] is None:
            assert isinstance(outcome, Conversation), outcome
            replay = [event for _, event in await read_all(outcome.reader)]
            assert "".join(event.content for event in replay if isinstance(event, Delta)) == before["answered"]
        elif before["state"] == "running":
            assert isinstance(outcome, RequestIdConflict) or not is_new(outcome), outcome
        else:
            assert isinstance(outcome, RequestIdConflict), outcome

    @override
    def teardown(self) -> None:
        if not self.replicas:
            self.runner.close()
            return
        for replica in self.replicas:
            self.do(replica.die())
        self.do(self.all_is_ended_by_one_reaper())
        self.runner.close()

    async def all_is_ended_by_one_reaper(self) -> None:
        last = await self.a_replica()
        await self.ledger.expire_leases()
        await last.engine.reaper.sweep()
        await last.stop()
        await self.ledger.check()
        await self.connection.close()
        await audit(self.database.superuser_dsn, ())


async def both(*works: Coroutine[Any, Any, object]) -> list[object]:
    return list(await asyncio.gather(*works))
