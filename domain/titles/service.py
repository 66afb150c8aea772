"""A title for a chat because its user asks for one (api.md 3.3)."""

from datetime import timedelta
from typing import Final

from domain.audit.events import About, Actor, EventType, audit_event
from domain.auth.policy import Action, Policy
from domain.clock import Clock
from domain.errors import ChatEmpty, ChatNotFound
from domain.ids import ChatId
from domain.limits.rates import Rates
from domain.scope import AccessScope, scope_for
from domain.subject import Subject
from domain.switches.board import Switchboard
from domain.switches.models import Wants
from domain.system_calls.models import SystemAnswer, SystemCallFailed, SystemCallRefused
from domain.system_calls.service import SystemCalls
from domain.titles.asking import fallback, propose
from domain.titles.models import Beginning, GeneratedTitle
from domain.titles.ports import TitleTx
from domain.unit_of_work import Access, UnitOfWork

CALL_DEADLINE: Final = timedelta(seconds=10)


class TitleService:
    """`deadline` is how long a model may take."""

    def __init__(
        self,
        begin: UnitOfWork[TitleTx],
        policy: Policy,
        calls: SystemCalls,
        board: Switchboard,
        rates: Rates,
        clock: Clock,
        deadline: timedelta = CALL_DEADLINE,
    ) -> None:
        self._begin = begin
        self._policy = policy
        self._calls = calls
        self._board = board
        self._rates = rates
        self._clock = clock
        self._deadline = deadline

    async def generate(self, who: Subject, chat_id: ChatId, *, dry_run: bool) -> GeneratedTitle:
        """Replaces the title, whoever gave it, unless it is a dry run. A model that does not answer is no error.

        Raises ChatNotFound, ChatEmpty, GenerationDisabled, RateLimited.
        """
        self._policy.require(who, Action.GENERATE_TITLE)
        scope = scope_for(who)
        async with self._begin(scope, Access.READ) as tx:
            beginning = await tx.titles.beginning(chat_id)
        if beginning is None:
            raise ChatNotFound
        if beginning.question is None:
            raise ChatEmpty
        self._board.state.refuse(scope.tenant_id, Wants(), self._clock.now())
        async with self._rates.sending(scope) as permit:
            await permit.take()
            title, answer = await self._made(scope, chat_id, beginning)
            await self._keep(who, chat_id, None if dry_run else title, answer)
            permit.keep()
        return title

    async def _made(
        self, scope: AccessScope, chat_id: ChatId, beginning: Beginning
    ) -> tuple[GeneratedTitle, SystemAnswer | None]:
        try:
            proposal = await propose(self._calls, scope, chat_id, beginning, self._deadline)
        except (SystemCallRefused, SystemCallFailed):
            return fallback(beginning), None
        return proposal.title, proposal.answer

    async def _keep(
        self, who: Subject, chat_id: ChatId, title: GeneratedTitle | None, answer: SystemAnswer | None
    ) -> None:
        """The call is paid for even if the chat went meanwhile."""
        if title is None and answer is None:
            return
        scope, is_there = scope_for(who), True
        async with self._begin(scope) as tx:
            if title is not None and (is_there := await tx.titles.put(chat_id, title)):
                about = About(chat_id=chat_id)
                event = audit_event(EventType.CHAT_RENAMED, scope, Actor.of(who), self._clock.now(), about)
                await tx.events.add(event)
            if answer is not None:
                await tx.events.add(answer.event)
                await tx.system_credits.correct(answer.settled)
        if not is_there:
            raise ChatNotFound
