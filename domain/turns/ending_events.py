"""What the end of a turn is told as, an audit event and a usage event in its own transaction (engine.md 7.2, 7.3).

Pure: facts of the turn, no words of it.
"""

from datetime import datetime
from typing import Final

from msgspec.structs import asdict

from domain.audit.events import About, Actor, EventType, NewEvent, Stream, audit_event
from domain.clock import utc_text
from domain.ids import EventId, uuid7
from domain.quotas.models import UsageSource
from domain.streaming.models import Ending, Stopped
from domain.turns.models import TurnIdentity, TurnResult, TurnState

_ENDED: Final = {
    TurnState.COMPLETED: EventType.TURN_COMPLETED,
    TurnState.FAILED: EventType.TURN_FAILED,
    TurnState.CANCELLED: EventType.TURN_CANCELLED,
}


def events_of_ending(
    turn: TurnIdentity, result: TurnResult, ending: Ending | None, now: datetime
) -> tuple[NewEvent, NewEvent]:
    """`ending` is None where the owner was lost, and with it why it stopped."""
    return _audited(turn, result, ending, now), _used(turn, result, now)


def _audited(turn: TurnIdentity, result: TurnResult, ending: Ending | None, now: datetime) -> NewEvent:
    return audit_event(
        _ENDED[result.state],
        turn.scope,
        Actor.behind(turn.scope),
        now,
        About(chat_id=turn.chat_id, turn_id=turn.turn_id, request_id=turn.request_id),
        once="ended",
        outcome=result.state.value,
        trace_id=turn.trace_id,
        details={
            **_models(turn),
            "usage": _usage(result),
            "usage_source": result.usage_source.value,
            "tool_calls": asdict(result.tool_calls),
            "settlement_method": result.settlement.method.value,
            "credits_micro": result.settlement.charged_micro,
            "latency_ms": {"ttft_ms": result.ttft_ms, "total_ms": result.total_ms},
            "finish_reason": result.finish,
            "error_code": result.error_code,
            "cancel_reason": ending.reason.value if isinstance(ending, Stopped) else None,
            "policy_decisions": {
                "quota": {
                    "decision": turn.quota_decision,
                    "downgrade_from": turn.selected_model if turn.downgrade_reason else None,
                    "downgrade_reason": turn.downgrade_reason,
                }
            },
        },
    )


def _used(turn: TurnIdentity, result: TurnResult, now: datetime) -> NewEvent:
    event_id = EventId(uuid7(now))
    key = "/".join(part.hex for part in (turn.scope.tenant_id, turn.turn_id, turn.request_id))
    hold, settlement = turn.hold, result.settlement
    body: dict[str, object] = {
        "event_id": event_id,
        "event_type": EventType.TURN_USAGE.value,
        "timestamp": utc_text(now),
        "tenant_id": turn.scope.tenant_id,
        "user_id": turn.scope.user_id,
        "requester_type": "user",
        "chat_id": turn.chat_id,
        "turn_id": turn.turn_id,
        "request_id": turn.request_id,
        "trace_id": turn.trace_id,
        **_models(turn),
        "terminal_state": result.state.value,
        "billing_outcome": result.billing_outcome.value,
        "usage": _usage(result),
        "usage_source": result.usage_source.value,
        "tool_calls": asdict(result.tool_calls),
        "settlement_method": settlement.method.value,
        "actual_credits_micro": settlement.charged_micro,
        "reserved_credits_micro": 0 if hold is None else hold.credits_micro,
        "capped": settlement.capped,
        "period_day": None if hold is None else hold.day,
        "dedupe_key": key,
    }
    return NewEvent(
        id=event_id,
        stream=Stream.USAGE,
        event_type=EventType.TURN_USAGE,
        occurred_at=now,
        dedupe_key=key,
        body=body,
        user_id=turn.scope.user_id,
        chat_id=turn.chat_id,
        turn_id=turn.turn_id,
    )


def _models(turn: TurnIdentity) -> dict[str, object]:
    return {
        "selected_model": turn.selected_model,
        "effective_model": turn.effective_model,
        "provider_id": turn.provider_id,
        "policy_version_applied": None if turn.hold is None else turn.hold.policy_version,
    }


def _usage(result: TurnResult) -> dict[str, int] | None:
    if result.usage_source is UsageSource.UNKNOWN:
        return None
    return {"input_tokens": result.input_tokens, "output_tokens": result.output_tokens}
