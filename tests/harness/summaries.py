"""Summaries put in and looked at below the repositories."""

from uuid import UUID

from tests.harness.rows import connected, insert


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
