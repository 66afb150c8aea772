"""Takes what a conversation has outgrown into its summary (engine.md 6.3).

read summary and turns ─▶ ask a model, no connection held ─▶ store, if nothing it was made of has changed

The user never pays for it. Whatever fails leaves the chat as it was: its prompts then show the newest turns alone.
"""

from datetime import timedelta
from typing import Final

import msgspec

from domain.audit.events import SYSTEM, About, EventType, NewEvent, audit_event
from domain.catalogue.models import Estimation, ModelSpec
from domain.clock import Clock
from domain.context.fencing import new_nonce
from domain.context.room import size_bytes
from domain.ids import ChatId
from domain.jobs.payloads import SummariseThread
from domain.jobs.retries import JobFailed
from domain.providers.errors import VERDICTS
from domain.providers.events import Finish
from domain.providers.ports import Providers
from domain.rounding import cdiv
from domain.scope import AccessScope
from domain.summaries.models import Material, NewSummary
from domain.summaries.ports import SummaryTx
from domain.summaries.reach import NoRoom, Reach, reach_of
from domain.summaries.wording import MOST_OUTPUT_TOKENS, PROMPT, UnusableSummary, cleaned
from domain.system_calls.models import SystemAnswer, SystemCallFailed, SystemCallRefused, SystemOrder, SystemTask
from domain.system_calls.service import SystemCalls
from domain.telemetry.ports import Counted, Telemetry
from domain.unit_of_work import Access, UnitOfWork

CALL_DEADLINE: Final = timedelta(seconds=60)


class SummaryWording(msgspec.Struct, frozen=True, kw_only=True):
    """`prompt` empty: the built-in one. A model's own prompt goes before either."""

    prompt: str = ""
    message_chars: int = 4_000

    def prompt_for(self, model: ModelSpec) -> str:
        return model.thread_summary_prompt or self.prompt or PROMPT


class Summarising:
    def __init__(
        self,
        begin: UnitOfWork[SummaryTx],
        calls: SystemCalls,
        providers: Providers,
        wording: SummaryWording,
        budgets: Estimation,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._begin = begin
        self._calls = calls
        self._providers = providers
        self._wording = wording
        self._budgets = budgets
        self._clock = clock
        self._telemetry = telemetry

    async def summarise(self, job: SummariseThread) -> None:
        """Afterwards the summary covers more, or there was nothing to do, or somebody else was faster.

        Raises JobFailed where another attempt may help or an operator should look, ServiceUnavailable.
        """
        scope = AccessScope(tenant_id=job.tenant_id, user_id=job.user_id)
        async with self._begin(scope, Access.READ) as tx:
            found = await tx.summaries.material(job.chat_id, job.target_seq, self._wording.message_chars)
        if found is None or not found.turns:
            self._count("nothing_to_do")
            return
        try:
            await self._renew(scope, job, found)
        except SystemCallRefused as refused:
            self._count(refused.reason.value)
        except JobFailed as failed:
            self._count(failed.code)
            raise

    async def _renew(self, scope: AccessScope, job: SummariseThread, material: Material) -> None:
        model = self._calls.model_for(scope.tenant_id, SystemTask.SUMMARY, material.chat_model)
        reach = self._reach(material, model)
        answer = await self._asked(scope, job.chat_id, model, reach)
        text = _usable(answer)
        summary = None if text is None else self._made(material, model, reach, text)
        stored = await self._stored(scope, job, answer, summary)
        if summary is None:
            raise JobFailed("unusable_summary")
        if not stored:
            self._telemetry.count(Counted.THREAD_SUMMARY_CAS_CONFLICTS)
        self._count("stored" if stored else "outrun")

    def _reach(self, material: Material, model: ModelSpec) -> Reach:
        carried = self._providers.for_provider(model.provider_id).capabilities
        try:
            return reach_of(
                material,
                model,
                model.estimation_budgets.over(self._budgets),
                carried,
                self._wording.prompt_for(model),
                self._wording.message_chars,
                new_nonce(),
            )
        except NoRoom:
            raise JobFailed("model_too_small", permanent=True) from None

    async def _asked(self, scope: AccessScope, chat_id: ChatId, model: ModelSpec, reach: Reach) -> SystemAnswer:
        order = SystemOrder(
            task=SystemTask.SUMMARY,
            chat_id=chat_id,
            model=model,
            instructions=reach.question.instructions,
            items=reach.question.items,
            max_output_tokens=MOST_OUTPUT_TOKENS,
            deadline=CALL_DEADLINE,
        )
        try:
            return await self._calls.ask(scope, order)
        except SystemCallFailed as failed:
            wait_ms = failed.failure.retry_after_ms
            raise JobFailed(
                VERDICTS[failed.failure.kind].code,
                retry_after=None if wait_ms is None else timedelta(milliseconds=wait_ms),
            ) from None

    def _made(self, material: Material, model: ModelSpec, reach: Reach, text: str) -> NewSummary:
        bytes_per_token = model.estimation_budgets.over(self._budgets).bytes_per_token
        return NewSummary(
            seen=material.version,
            made_of=tuple(turn.turn_id for turn in reach.turns),
            text=text,
            covers_seq=reach.turns[-1].end_seq,
            token_estimate=cdiv(size_bytes(text), bytes_per_token),
            model=model.id,
        )

    async def _stored(
        self, scope: AccessScope, job: SummariseThread, answer: SystemAnswer, summary: NewSummary | None
    ) -> bool:
        """What the call has cost is entered whatever becomes of the answer."""
        events = [answer.event]
        async with self._begin(scope) as tx:
            stored = summary is not None and await tx.summaries.put(job.chat_id, summary)
            if stored and summary is not None:
                events.append(self._updated(scope, job.chat_id, summary))
                if summary.covers_seq < job.target_seq:
                    await tx.jobs.enqueue(msgspec.structs.replace(job, covers_seq=summary.covers_seq))
            await tx.events.add(*events)
            await tx.system_credits.correct(answer.settled)
        return stored

    def _updated(self, scope: AccessScope, chat_id: ChatId, summary: NewSummary) -> NewEvent:
        return audit_event(
            EventType.SUMMARY_UPDATED,
            scope,
            SYSTEM,
            self._clock.now(),
            About(chat_id=chat_id),
            details={"covers_seq": summary.covers_seq, "turns": len(summary.made_of), "model": summary.model},
        )

    def _count(self, result: str) -> None:
        self._telemetry.count(Counted.THREAD_SUMMARY_EXECUTION, result=result)


def _usable(answer: SystemAnswer) -> str | None:
    """One that was filtered says too little of what it should have said."""
    if answer.finish is Finish.CONTENT_FILTER:
        return None
    try:
        return cleaned(answer.text)
    except UnusableSummary:
        return None
