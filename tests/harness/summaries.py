"""Chats that are summarised: their turns, the job, and the summaries, put in and looked at below the repositories."""

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from domain.catalogue.models import Estimation
from domain.clock import SystemClock
from domain.ids import ChatId
from domain.jobs.payloads import SummariseThread
from domain.providers.events import Completed, Finish, ProviderEvent, TextDelta, Usage
from domain.providers.ports import Provider
from domain.providers.request import ProviderRequest, Purpose
from domain.subject import Subject
from domain.summaries.ports import SummaryTx
from domain.summaries.service import Summarising, SummaryWording
from domain.telemetry.ports import SilentTelemetry, Telemetry
from domain.unit_of_work import UnitOfWork
from tests.fakes.providers import OneProvider, Play
from tests.harness.engine import Engine, read_all
from tests.harness.rows import connected, insert
from tests.harness.system_calls import Desk


def summarising(
    desk: Desk,
    provider: Provider,
    *,
    telemetry: Telemetry | None = None,
    wording: SummaryWording | None = None,
    begin: UnitOfWork[SummaryTx] | None = None,
) -> Summarising:
    """As the application does it, with the desk's way of asking models."""
    return Summarising(
        begin or desk.begin,
        desk.calls,
        OneProvider(provider),
        wording or SummaryWording(),
        Estimation(),
        SystemClock(),
        telemetry or SilentTelemetry(),
    )


def by_purpose(chat: Play, summary: Play) -> Play:
    """One model for both: it chats, and it summarises."""

    def play(request: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        return (summary if request.purpose is Purpose.SUMMARY else chat)(request)

    return play


def noting(text: str) -> Play:
    """Answers with this summary and reports what it used."""

    async def play(_: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        usage = Usage(input_tokens=100, output_tokens=20)
        yield [TextDelta(f"<summary>{text}</summary>"), Completed(finish=Finish.STOP, usage=usage)]

    return play


async def talk(engine: Engine, who: Subject, chat_id: ChatId, *contents: str) -> None:
    """Each question in turn, to the end of its answer."""
    for content in contents:
        conversation = await engine.send(who, chat_id, content)
        await read_all(conversation.reader)


def the_job(who: Subject, chat_id: ChatId, target_seq: int, covers_seq: int = 0) -> SummariseThread:
    return SummariseThread(
        tenant_id=who.tenant_id, user_id=who.user_id, chat_id=chat_id, covers_seq=covers_seq, target_seq=target_seq
    )


async def put_summary(dsn: str, tenant_id: UUID, chat_id: UUID, covers_seq: int, body: str) -> None:
    """`dsn` is a superuser's."""
    async with connected(dsn) as connection:
        await insert(
            connection,
            "thread_summaries",
            tenant_id=tenant_id,
            chat_id=chat_id,
            version=1,
            body=body,
            covers_seq=covers_seq,
            token_estimate=len(body) // 4,
            model="test-model",
        )


async def summary_of(dsn: str, chat_id: UUID) -> tuple[str, int, int] | None:
    """Its text, what it covers and its version."""
    async with connected(dsn) as connection:
        row = await connection.fetchrow(
            "SELECT body, covers_seq, version FROM mini_chat.thread_summaries WHERE chat_id = $1", chat_id
        )
    return None if row is None else (row["body"], row["covers_seq"], row["version"])
