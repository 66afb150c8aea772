"""Everything that is done after a transaction has committed. Ids only: what they name is read under its tenant."""

from typing import TypeAlias

import msgspec

from domain.ids import ChatId, EventId, TenantId, UserId


class ExportAudit(msgspec.Struct, frozen=True, kw_only=True, tag="audit_export"):
    """Hands an audit event to the sink of audit events."""

    tenant_id: TenantId
    event_id: EventId


class ExportUsage(msgspec.Struct, frozen=True, kw_only=True, tag="usage_export"):
    """Hands a usage event to the sink of usage events."""

    tenant_id: TenantId
    event_id: EventId


class SummariseThread(msgspec.Struct, frozen=True, kw_only=True, tag="thread_summary"):
    """Takes the messages of a chat beyond `covers_seq` and up to `target_seq` into its summary."""

    tenant_id: TenantId
    user_id: UserId
    chat_id: ChatId
    covers_seq: int
    target_seq: int


class NameChat(msgspec.Struct, frozen=True, kw_only=True, tag="chat_title"):
    """Has a model name a chat whose first answer is there."""

    tenant_id: TenantId
    user_id: UserId
    chat_id: ChatId


Job: TypeAlias = ExportAudit | ExportUsage | SummariseThread | NameChat

QUEUES = ("audit_export", "usage_export", "thread_summary", "chat_title")
"""A queue for each kind of job, named like its tag."""


def key_of(job: Job) -> str | None:
    """Among the jobs that wait or are being done, each key exists once: another one would do the same work."""
    if isinstance(job, SummariseThread):
        return f"{job.tenant_id}/{queue_of(job)}/{job.chat_id}/{job.covers_seq}"
    if isinstance(job, NameChat):
        return f"{job.tenant_id}/{queue_of(job)}/{job.chat_id}"
    return None


def queue_of(job: Job | type[Job]) -> str:
    return str(job.__struct_config__.tag)
