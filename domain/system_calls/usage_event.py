"""A system call as consumers of usage events are told it (engine.md 7.3). Pure."""

from datetime import datetime
from typing import Final

from domain.audit.events import EventType, NewEvent, Stream
from domain.clock import utc_text
from domain.ids import EventId, TenantId, uuid7
from domain.quotas.models import UsageSource
from domain.system_calls.models import SettledCall
from domain.telemetry.correlation import current_trace

_OUTCOME: Final = "system_task"


def usage_event(tenant_id: TenantId, settled: SettledCall, now: datetime) -> NewEvent:
    """Each call has a key of its own: a job that is attempted twice may call twice, and both cost."""
    call, hold, settlement = settled.call, settled.call.hold, settled.settlement
    event_id = EventId(uuid7(now))
    key = f"{tenant_id.hex}/{call.task}/{call.id.hex}"
    body: dict[str, object] = {
        "event_id": event_id,
        "event_type": EventType.SYSTEM_USAGE.value,
        "timestamp": utc_text(now),
        "tenant_id": tenant_id,
        "user_id": None,
        "requester_type": "system",
        "system_task_type": call.task.value,
        "chat_id": call.chat_id,
        "turn_id": None,
        "request_id": call.id,
        "trace_id": current_trace().trace_id,
        "selected_model": call.model,
        "effective_model": call.model,
        "provider_id": call.provider_id,
        "policy_version_applied": hold.policy_version,
        "terminal_state": "completed" if settled.succeeded else "failed",
        "billing_outcome": _OUTCOME,
        "usage": _usage(settled),
        "usage_source": settled.usage.source.value,
        "settlement_method": settlement.method.value,
        "actual_credits_micro": settlement.charged_micro,
        "reserved_credits_micro": hold.credits_micro,
        "capped": settlement.capped,
        "period_day": hold.day,
        "dedupe_key": key,
    }
    return NewEvent(
        id=event_id,
        stream=Stream.USAGE,
        event_type=EventType.SYSTEM_USAGE,
        occurred_at=now,
        dedupe_key=key,
        body=body,
        chat_id=call.chat_id,
    )


def _usage(settled: SettledCall) -> dict[str, int] | None:
    used = settled.usage
    if used.source is UsageSource.UNKNOWN:
        return None
    return {"input_tokens": used.input_tokens, "output_tokens": used.output_tokens}
