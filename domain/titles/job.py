"""Names a chat after its first answer (engine.md 6.4, 9). May be done twice: what is named is left alone."""

from datetime import timedelta
from typing import Final

from domain.jobs.payloads import NameChat
from domain.jobs.retries import JobFailed
from domain.scope import AccessScope
from domain.system_calls.models import SystemCallFailed, SystemCallRefused
from domain.system_calls.service import SystemCalls
from domain.titles.asking import fallback, propose
from domain.titles.models import Beginning
from domain.titles.ports import TitleTx
from domain.unit_of_work import Access, UnitOfWork

CALL_DEADLINE: Final = timedelta(seconds=20)


class NamingJob:
    def __init__(self, begin: UnitOfWork[TitleTx], calls: SystemCalls) -> None:
        self._begin = begin
        self._calls = calls

    async def do(self, job: NameChat) -> None:
        """A model that may not be called leaves the first line.

        Raises JobFailed for one that did not answer, or not about what the chat begins with by now.
        """
        scope = AccessScope(tenant_id=job.tenant_id, user_id=job.user_id)
        beginning = await self._open_beginning(scope, job)
        if beginning is None:
            return
        try:
            proposal = await propose(self._calls, scope, job.chat_id, beginning, CALL_DEADLINE)
        except SystemCallRefused:
            await self._put_first_line(scope, job, beginning)
            return
        except SystemCallFailed as failed:
            raise JobFailed(failed.failure.kind.value) from None
        async with self._begin(scope) as tx:
            # Named before it is paid for: whoever renames waits for the chat, not for the tenant's account.
            is_named = await tx.titles.put_if_open(job.chat_id, proposal.title, beginning)
            await tx.events.add(proposal.answer.event)
            await tx.system_credits.correct(proposal.answer.settled)
        if not is_named and await self._open_beginning(scope, job) is not None:
            raise JobFailed("outrun")

    async def give_up(self, job: NameChat) -> None:
        """After the last attempt. Raises ServiceUnavailable."""
        scope = AccessScope(tenant_id=job.tenant_id, user_id=job.user_id)
        beginning = await self._open_beginning(scope, job)
        if beginning is not None:
            await self._put_first_line(scope, job, beginning)

    async def _open_beginning(self, scope: AccessScope, job: NameChat) -> Beginning | None:
        async with self._begin(scope, Access.READ) as tx:
            beginning = await tx.titles.beginning(job.chat_id)
        has_words = beginning is not None and beginning.is_open and beginning.question is not None
        return beginning if has_words else None

    async def _put_first_line(self, scope: AccessScope, job: NameChat, beginning: Beginning) -> None:
        if beginning.title is None:
            async with self._begin(scope) as tx:
                await tx.titles.put_if_open(job.chat_id, fallback(beginning), beginning)
