"""Everything that is done after a transaction has committed. Ids only: what they name is read under its tenant."""

from typing import TypeAlias

import msgspec

from domain.ids import EventId, TenantId


class ExportAudit(msgspec.Struct, frozen=True, kw_only=True, tag="audit_export"):
    """Hands an audit event to the sink of audit events."""

    tenant_id: TenantId
    event_id: EventId


class ExportUsage(msgspec.Struct, frozen=True, kw_only=True, tag="usage_export"):
    """Hands a usage event to the sink of usage events."""

    tenant_id: TenantId
    event_id: EventId


Job: TypeAlias = ExportAudit | ExportUsage

QUEUES = ("audit_export", "usage_export")
"""A queue for each kind of job, named like its tag."""


def queue_of(job: Job | type[Job]) -> str:
    return str(job.__struct_config__.tag)
