"""The one statement that ends a turn: its row, its answer, its credits and its ledger."""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    ColumnElement,
    Integer,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    column,
    exists,
    extract,
    func,
    insert,
    literal,
    not_,
    null,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from domain.messages.models import Role
from domain.quotas.limits import UNLIMITED_MICRO
from domain.streaming.models import StopReason
from domain.turns.models import (
    TurnResult,
    TurnState,
)
from infra.postgres.orm.chat import ChatRow
from infra.postgres.orm.message import MessageRow
from infra.postgres.orm.turn import TurnRow
from infra.postgres.prepared import Prepared, json_text
from infra.postgres.repositories.bound import OUR_CHAT, OUR_TURN
from infra.postgres.repositories.bound import bound as _b

# The chat row first, as opening and deleting take it: two transactions never wait for each other in a circle.
_locked = select(ChatRow.id, ChatRow.deleted_at).where(OUR_CHAT).with_for_update(key_share=True).cte("locked")
_age_ms = func.floor(extract("epoch", func.now() - TurnRow.started_at) * 1000)
# What the turn of a deleted chat had said is not kept, whoever ends it and even if the chat is back by then; but a
# completed one is not without its answer.
_is_kept = or_(
    and_(_locked.c.deleted_at.is_(None), TurnRow.cancel_reason.is_distinct_from(StopReason.CHAT_DELETED.value)),
    not_(_b("is_partial", Boolean())),
)


def _if_held(value: BindParameter[Any]) -> ColumnElement[Any]:
    """Turns of a process that knew no credits hold nothing, and are not settled."""
    return case((TurnRow.reserved_micro.is_not(None), value))


_ended = (
    update(TurnRow)
    .where(
        OUR_TURN,
        TurnRow.chat_id == _locked.c.id,
        TurnRow.state == TurnState.RUNNING.value,
        TurnRow.owner_epoch == _b("epoch"),
    )
    .values(
        state=_b("new_state"),
        finish_reason=_b("finish"),
        error_code=_b("error_code"),
        assistant_message_id=case((and_(_b("stores_answer", Boolean()), _is_kept), TurnRow.planned_message_id)),
        lease_until=null(),
        completed_at=func.now(),
        usage_source=_b("usage_source"),
        input_tokens=_b("input_tokens"),
        output_tokens=_b("output_tokens"),
        ttft_ms=_b("ttft_ms"),
        total_ms=func.coalesce(_b("total_ms", Integer()), _age_ms),
        last_event_id=_b("last_number"),
        retryable=_b("retryable"),
        retry_after_ms=_b("retry_after_ms"),
        upstream_closed_ms=_b("upstream_closed_ms", Integer()),
        web_search_calls=_b("web_search_calls", Integer()),
        code_interpreter_calls=_b("code_interpreter_calls", Integer()),
        file_search_calls=_b("file_search_calls", Integer()),
        provider_response_id=_b("provider_response_id", Text()),
        settlement=_if_held(_b("settlement", Text())),
        billing_outcome=_if_held(_b("billing_outcome", Text())),
        settled_micro=_if_held(_b("settled_micro", BigInteger())),
        capped=_if_held(_b("capped", Boolean())),
    )
    .returning(*TurnRow.__table__.c)
    .cte("ended")
)
_answer: dict[str, ColumnElement[Any]] = {
    "tenant_id": _b("tenant_id", MessageRow.tenant_id.type),
    "id": _ended.c.assistant_message_id,
    "chat_id": _b("chat_id", MessageRow.chat_id.type),
    "turn_id": _ended.c.id,
    "request_id": _ended.c.request_id,
    "seq": _ended.c.user_seq + 1,
    "role": literal(Role.ASSISTANT.value, Text()),
    "content": _b("text", Text()),
    "is_partial": _b("is_partial", Boolean()),
    "model": _ended.c.effective_model,
    "finish_reason": _b("finish", Text()),
    "citations": _b("citations", JSONB(none_as_null=True)),
    "input_tokens": _b("input_tokens", BigInteger()),
    "output_tokens": _b("output_tokens", BigInteger()),
}
_stored = _ended.c.assistant_message_id.is_not(None)
_answered = insert(MessageRow).from_select(list(_answer), select(*_answer.values()).where(_stored)).cte("answered")
# In the order in which holds are taken, and locked before it is told what they hold: nothing comes in between.
_held = (
    text("""
    SELECT wanted.*, coalesce(present.reserved_micro, 0) AS present_micro
    FROM (
        SELECT ended.tenant_id, holder.subject_id, period.type AS period_type, period.start AS period_start,
            kind.name AS bucket, ended.reserved_micro AS hold_micro,
            (holder.subject_id, period.type, kind.name) = (ended.user_id, 'daily', 'total') AS counts_tools
        FROM ended
        CROSS JOIN LATERAL (
            VALUES (ended.user_id, true), ('00000000-0000-0000-0000-000000000000'::uuid, ended.tenant_bucket)
        ) AS holder (subject_id, counts)
        CROSS JOIN LATERAL (
            VALUES ('daily', ended.period_day), ('monthly', ended.period_month)
        ) AS period (type, start)
        CROSS JOIN LATERAL (VALUES ('total', true), ('tier:premium', ended.tier = 'premium')) AS kind (name, counts)
        WHERE ended.reserved_micro IS NOT NULL AND holder.counts AND kind.counts
        ORDER BY holder.subject_id, period.type, period.start, kind.name
    ) AS wanted
    LEFT JOIN LATERAL (
        SELECT counted.reserved_micro FROM mini_chat.quota_buckets AS counted
        WHERE (counted.tenant_id, counted.subject_id, counted.period_type, counted.period_start, counted.bucket)
            = (wanted.tenant_id, wanted.subject_id, wanted.period_type, wanted.period_start, wanted.bucket)
        FOR NO KEY UPDATE
    ) AS present ON true
    """)
    .columns(column("present_micro", BigInteger()))
    .cte("held")
)
# A row that went missing is made again rather than keep a turn from its end.
_charged = (
    text("""
    INSERT INTO mini_chat.quota_buckets AS present (tenant_id, subject_id, period_type, period_start, bucket,
        limit_micro, spent_micro, calls, input_tokens, output_tokens, web_search_calls, code_interpreter_calls,
        file_search_calls)
    SELECT held.tenant_id, held.subject_id, held.period_type, held.period_start, held.bucket, :b_unlimited_micro,
        ended.settled_micro, (ended.settlement <> 'released')::integer,
        CASE held.bucket WHEN 'total' THEN ended.input_tokens ELSE 0 END,
        CASE held.bucket WHEN 'total' THEN ended.output_tokens ELSE 0 END,
        CASE WHEN held.counts_tools THEN ended.web_search_calls ELSE 0 END,
        CASE WHEN held.counts_tools THEN ended.code_interpreter_calls ELSE 0 END,
        CASE WHEN held.counts_tools THEN ended.file_search_calls ELSE 0 END
    FROM held CROSS JOIN ended
    ORDER BY held.subject_id, held.period_type, held.period_start, held.bucket
    ON CONFLICT (tenant_id, subject_id, period_type, period_start, bucket) DO UPDATE
    SET reserved_micro = greatest(present.reserved_micro - (SELECT reserved_micro FROM ended), 0),
        spent_micro = present.spent_micro + excluded.spent_micro,
        calls = present.calls + excluded.calls,
        input_tokens = present.input_tokens + excluded.input_tokens,
        output_tokens = present.output_tokens + excluded.output_tokens,
        web_search_calls = present.web_search_calls + excluded.web_search_calls,
        code_interpreter_calls = present.code_interpreter_calls + excluded.code_interpreter_calls,
        file_search_calls = present.file_search_calls + excluded.file_search_calls,
        web_search_held = CASE WHEN (present.subject_id, present.period_type, present.bucket)
                = ((SELECT user_id FROM ended), 'daily', 'total')
            THEN greatest(present.web_search_held - (SELECT web_search_held FROM ended), 0)
            ELSE present.web_search_held END,
        code_interpreter_held = CASE WHEN (present.subject_id, present.period_type, present.bucket)
                = ((SELECT user_id FROM ended), 'daily', 'total')
            THEN greatest(present.code_interpreter_held - (SELECT code_interpreter_held FROM ended), 0)
            ELSE present.code_interpreter_held END,
        updated_at = now()
    RETURNING bucket
    """)
    .bindparams(bindparam("b_unlimited_micro", UNLIMITED_MICRO, BigInteger()))
    .columns(column("bucket", Text()))
    .cte("charged")
)
# The entry of the turn says that all of its hold was given back; this one, what was not there to be given.
_adjusted = (
    text("""
    INSERT INTO mini_chat.ledger_entries (tenant_id, kind, credits_micro, released_micro, subject_id, period_type,
        period_start, bucket, reason)
    SELECT tenant_id, 'adjust', 0, present_micro - hold_micro, subject_id, period_type, period_start, bucket,
        'short_at_settlement'
    FROM held
    WHERE present_micro < hold_micro
    RETURNING period_type
    """)
    .columns(column("period_type", Text()))
    .cte("adjusted")
)
_entered = (
    text("""
    INSERT INTO mini_chat.ledger_entries (tenant_id, id, kind, turn_id, chat_id, request_id, user_id, model, tier,
        outcome, usage_source, input_tokens, output_tokens, credits_micro, released_micro, tenant_bucket, period_day,
        period_month, policy_version)
    SELECT tenant_id, id, 'settle', id, chat_id, request_id, user_id, effective_model, tier, state, usage_source,
        input_tokens, output_tokens, settled_micro, reserved_micro, tenant_bucket, period_day, period_month,
        policy_version
    FROM ended
    WHERE reserved_micro IS NOT NULL
    RETURNING id
    """)
    .columns(column("id", Uuid()))
    .cte("entered")
)
# What had been saved of the answer goes with the running turn: a trigger sees parts that this statement does not.
FINISH: Final = Prepared(
    update(ChatRow)
    .where(OUR_CHAT, exists(select(_ended.c.id)))
    .values(updated_at=func.now())
    .returning(select(func.array_agg(_adjusted.c.period_type)).scalar_subquery().label("short"))
    .add_cte(_ended, _answered, _held, _charged, _entered, _adjusted)
)


def ending_values(result: TurnResult) -> dict[str, object]:
    return {
        "new_state": result.state,
        "finish": result.finish,
        "error_code": result.error_code,
        "stores_answer": result.text is not None,
        "text": result.text or "",
        "is_partial": result.state is not TurnState.COMPLETED,
        "citations": json_text(result.citations) if result.citations else None,
        "usage_source": result.usage_source,
        "input_tokens": result.input_tokens,
        "output_tokens": result.output_tokens,
        "ttft_ms": result.ttft_ms,
        "total_ms": result.total_ms,
        "last_number": result.last_number,
        "retryable": result.retryable,
        "retry_after_ms": result.retry_after_ms,
        "upstream_closed_ms": result.upstream_closed_ms,
        "web_search_calls": result.tool_calls.web_search,
        "code_interpreter_calls": result.tool_calls.code_interpreter,
        "file_search_calls": result.tool_calls.file_search,
        "provider_response_id": result.remote_id,
        "settlement": result.settlement.method,
        "billing_outcome": result.billing_outcome,
        "settled_micro": result.settlement.charged_micro,
        "capped": result.settlement.capped,
    }
