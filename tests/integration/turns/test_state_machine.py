"""Two replicas, one database, and anything that users, models, clocks, limits and failing power can do, in any order.

After every step the turns keep the promises of reliability.md (I-04 to I-06, I-08, I-19, I-23) and the credits theirs
(I-30, I-31, I-33); in the end, when everybody is gone but one reaper, the auditor finds nothing.
TESTS_STATE_MACHINE_RUNS makes it longer than CI has time for; a failure prints its steps and its seed.
"""

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, TypeVar

import anyio
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test

from domain.chats.service import ChatDraft
from domain.errors import QuotaExceeded
from domain.streaming.models import StopReason
from domain.streaming.ports import OnDisconnect
from tests.harness.chance import seed_for
from tests.harness.engine import a_chat
from tests.harness.eventually import eventually
from tests.harness.postgres import Database
from tests.integration.turns.machine.by_content import Ask
from tests.integration.turns.machine.credits import MOST_HELD_MICRO, hold_auditor
from tests.integration.turns.machine.sends import a_change, a_send, is_new
from tests.integration.turns.machine.world import World, both

pytestmark = pytest.mark.postgres

T = TypeVar("T")

RUNS: Final = int(os.environ.get("TESTS_STATE_MACHINE_RUNS", "60"))
STEPS: Final = 40
REPLICAS: Final = st.sampled_from((0, 1))
ANY: Final = st.integers(0, 999)
ASKS: Final = st.sampled_from((*Ask, Ask.TALK, Ask.WAIT))


def of(things: Sequence[T], number: int) -> T:
    """Drawn without regard to how many there are, which may differ from run to run; the newest are likelier."""
    return things[-1 - number % min(len(things), 8)]


class Turns(World):
    @initialize()
    def two_replicas(self) -> None:
        self.begin()
        self.send(at=0, chat=0, ask=Ask.WAIT, on_disconnect=OnDisconnect.CONTINUE)

    @rule(at=REPLICAS, chat=ANY, ask=ASKS, on_disconnect=st.sampled_from(OnDisconnect))
    def send(self, at: int, chat: int, ask: Ask, on_disconnect: OnDisconnect) -> None:
        self.do(self.sent(at, self.noted(a_send(of(self.chats, chat), ask, on_disconnect))))

    @rule(at=REPLICAS, ask=ASKS)
    def send_in_a_new_chat(self, at: int, ask: Ask) -> None:
        self.do(self.sent(at, self.noted(a_send(ChatDraft(), ask, OnDisconnect.CONTINUE))))

    @rule(at=REPLICAS, send=ANY)
    def send_again(self, at: int, send: int) -> None:
        self.do(self.sent(at, of(self.sends, send)))

    @rule(chat=ANY, ask=ASKS)
    def send_to_both_replicas_at_once(self, chat: int, ask: Ask) -> None:
        send = self.noted(a_send(of(self.chats, chat), ask, OnDisconnect.CONTINUE))
        outcomes = self.do(both(*(self.attempt(replica, send) for replica in self.replicas)))
        assert sum(map(is_new, outcomes)) <= 1, outcomes

    @rule(ask=ASKS)
    def send_twice_at_once_with_credits_for_one(self, ask: Ask) -> None:
        """Both see the room; the counters decide who gets it."""
        self.do(self.credits.limit(self.replicas[0].engine, self.who, MOST_HELD_MICRO))
        sends = [self.noted(a_send(ChatDraft(), ask, OnDisconnect.CONTINUE)) for _ in self.replicas]
        attempts = [self.attempt(replica, send) for replica, send in zip(self.replicas, sends, strict=True)]
        for outcome in self.do(both(*attempts)):
            assert isinstance(outcome, QuotaExceeded) or is_new(outcome), outcome
        self.do(self.check())
        self.lift_the_limit(0)

    @rule(at=REPLICAS, send=ANY)
    def send_something_else_under_the_same_key(self, at: int, send: int) -> None:
        self.do(self.refused_as_reuse(at, of(self.sends, send)))

    @rule(at=REPLICAS, send=ANY)
    def retry(self, at: int, send: int) -> None:
        self.do(self.changed(at, of(self.sends, send), self.noted(a_change(of(self.sends, send), None))))

    @rule(at=REPLICAS, send=ANY, ask=ASKS)
    def edit(self, at: int, send: int, ask: Ask) -> None:
        self.do(self.changed(at, of(self.sends, send), self.noted(a_change(of(self.sends, send), ask))))

    @rule(at=REPLICAS, send=ANY)
    def delete_turn(self, at: int, send: int) -> None:
        self.do(self.turn_deleted(at, of(self.sends, send)))

    @rule(send=ANY, ask=ASKS)
    def edit_and_delete_at_once(self, send: int, ask: Ask) -> None:
        self.do(self.changed_or_deleted(of(self.sends, send), self.noted(a_change(of(self.sends, send), ask))))

    @rule(at=REPLICAS, send=ANY)
    def cancel(self, at: int, send: int) -> None:
        self.do(self.cancelled([self.replicas[at]], of(self.sends, send)))

    @rule(send=ANY)
    def cancel_at_both_replicas_at_once(self, send: int) -> None:
        self.do(self.cancelled(self.replicas, of(self.sends, send)))

    @rule(at=REPLICAS)
    def look_for_cancelled_turns(self, at: int) -> None:
        self.do(self.replicas[at].engine.cancel_watch.look())

    @rule(chat=ANY, at=REPLICAS)
    def delete_chat(self, chat: int, at: int) -> None:
        deleted, engine = of(self.chats, chat), self.replicas[at].engine
        self.chats[self.chats.index(deleted)] = self.do(a_chat(engine, self.who))
        self.deleted.append(deleted)
        self.do(engine.chats.delete(self.who, deleted))

    @rule(chat=ANY, at=REPLICAS)
    def restore_chat(self, chat: int, at: int) -> None:
        if self.deleted:
            restored = of(self.deleted, chat)
            self.deleted.remove(restored)
            self.do(self.replicas[at].engine.chats.restore(self.who, restored))
            self.chats.append(restored)

    @rule(at=REPLICAS, turns=st.integers(0, 3))
    def leave_credits_for_so_many_turns(self, at: int, turns: int) -> None:
        self.do(self.credits.limit(self.replicas[at].engine, self.who, turns * MOST_HELD_MICRO))

    @rule(at=REPLICAS)
    def lift_the_limit(self, at: int) -> None:
        self.do(self.credits.limit(self.replicas[at].engine, self.who, None))

    @rule(at=REPLICAS)
    def compare_holds_with_turns(self, at: int) -> None:
        """Nothing is there to be corrected, whatever happens meanwhile."""
        self.do(hold_auditor(self.replicas[at].engine).sweep())

    @rule(send=ANY)
    def let_the_model_go_on(self, send: int) -> None:
        content = of(self.sends, send).command.content
        if content is not None:
            self.provider.release(content)

    @rule(milliseconds=st.integers(0, 15))
    def let_time_pass(self, milliseconds: int) -> None:
        self.do(anyio.sleep(milliseconds / 1000))

    @rule()
    def read(self) -> None:
        async def all_listen() -> None:
            async with anyio.create_task_group() as tasks:
                for listener in self.listeners:
                    tasks.start_soon(listener.listen)

        self.do(all_listen())

    @rule(number=st.integers(0, 9))
    def disconnect(self, number: int) -> None:
        """Which reader that is must not depend on how many there happen to be, or a seed would repeat nothing."""
        if number < len(self.listeners):
            listener = self.listeners.pop(number)

            async def leave() -> None:
                listener.reader.leave()

            self.do(leave())

    @rule(at=REPLICAS, reason=st.sampled_from((StopReason.DRAIN, StopReason.TURN_TIMEOUT, StopReason.DISCONNECT)))
    def stop_what_runs(self, at: int, reason: StopReason) -> None:
        async def stop() -> None:
            for actor in self.replicas[at].engine.supervisor.running_turns():
                actor.stop(reason)

        self.do(stop())

    @rule(at=REPLICAS)
    def beat(self, at: int) -> None:
        self.do(self.replicas[at].engine.beat.beat())

    @rule()
    def leases_run_out(self) -> None:
        self.do(self.ledger.expire_leases())

    @rule(at=REPLICAS)
    def reap(self, at: int) -> None:
        """Whoever owns a turn now is too late with everything."""
        self.do(self.ledger.expire_leases())

        async def none_expired() -> bool:
            """A turn that is just being ended is locked: the reaper passes it over, and it is as good as ended."""
            await self.replicas[at].engine.reaper.sweep()
            return await self.ledger.expired() == 0

        self.do(eventually(none_expired, within_s=2))

    @rule(at=REPLICAS)
    def kill(self, at: int) -> None:
        dead = self.replicas[at]
        self.do(dead.die())
        self.listeners = [listener for listener in self.listeners if listener.replica is not dead]
        self.replicas[at] = self.do(self.a_replica())

    @rule(at=REPLICAS)
    def restart(self, at: int) -> None:
        self.do(self.replicas[at].stop())
        self.replicas[at] = self.do(self.a_replica())

    @rule(at=REPLICAS, hours=st.integers(-24, 24))
    def step_the_clock(self, at: int, hours: int) -> None:
        self.replicas[at].clock.ahead = timedelta(hours=hours)

    @invariant()
    def rows_keep_their_promises(self) -> None:
        if self.replicas:
            self.do(self.check())


@pytest.mark.timeout(max(180, 6 * RUNS))
def test_whatever_happens_to_turns_they_keep_their_promises(database: Database) -> None:
    class TurnsOfThisTest(Turns):
        pass

    TurnsOfThisTest.database = database
    seed(seed_for("state machine"))(TurnsOfThisTest)
    run_state_machine_as_test(
        TurnsOfThisTest,
        settings=settings(
            max_examples=RUNS,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
