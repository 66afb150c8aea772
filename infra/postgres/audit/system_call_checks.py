"""What must hold of the calls that no user pays for: the entries of each in the ledger, and its usage event."""

from typing import Final

SYSTEM_CALL_CHECKS: Final = {
    # Without the second entry the process was lost during the call, or is just calling: then the estimate stands.
    "system_call_that_is_settled_wrongly": """
        SELECT charge.id, charge.credits_micro, settled.credits_micro AS difference_micro
        FROM (SELECT * FROM mini_chat.ledger_entries WHERE kind = 'system') AS charge
        FULL JOIN (
            SELECT * FROM mini_chat.ledger_entries WHERE kind = 'adjust' AND bucket = 'system'
        ) AS settled ON settled.tenant_id = charge.tenant_id AND settled.request_id = charge.id
        LEFT JOIN mini_chat.usage_events event ON event.tenant_id = settled.tenant_id AND event.dedupe_key
            = concat_ws('/', translate(settled.tenant_id::text, '-', ''), settled.reason,
                        translate(settled.request_id::text, '-', ''))
        WHERE charge.id IS NULL
            OR (charge.bucket, charge.request_id, charge.released_micro) IS DISTINCT FROM ('system', charge.id, 0)
            OR num_nonnulls(charge.chat_id, charge.model, charge.tier, charge.policy_version, charge.reason) <> 5
            OR num_nonnulls(charge.user_id, settled.user_id) > 0 OR settled.released_micro <> 0
            OR charge.credits_micro + settled.credits_micro NOT BETWEEN 0 AND charge.credits_micro * 3 / 2
            OR (settled.id IS NOT NULL AND (
                (settled.subject_id, settled.period_type, settled.period_start, settled.chat_id, settled.model,
                    settled.tier, settled.policy_version, settled.reason)
                IS DISTINCT FROM (charge.subject_id, charge.period_type, charge.period_start, charge.chat_id,
                    charge.model, charge.tier, charge.policy_version, charge.reason)
                OR num_nonnulls(settled.outcome, settled.usage_source, settled.input_tokens,
                    settled.output_tokens) <> 4))
            OR (settled.usage_source = 'unknown') <> (charge.credits_micro + settled.credits_micro = 0)
            OR (settled.created_at > now() - interval '1 day' AND (
                event.chat_id, event.user_id, (event.body ->> 'chat_id')::uuid,
                (event.body ->> 'actual_credits_micro')::bigint, (event.body ->> 'reserved_credits_micro')::bigint,
                event.body ->> 'terminal_state', event.body ->> 'usage_source', event.body ->> 'effective_model',
                coalesce((event.body #>> '{usage,input_tokens}')::bigint, 0),
                coalesce((event.body #>> '{usage,output_tokens}')::bigint, 0))
            IS DISTINCT FROM (settled.chat_id, NULL::uuid, settled.chat_id,
                charge.credits_micro + settled.credits_micro, charge.credits_micro, settled.outcome,
                settled.usage_source, settled.model, settled.input_tokens, settled.output_tokens))""",
    "usage_event_of_no_system_call": """
        SELECT event.id FROM mini_chat.usage_events event LEFT JOIN mini_chat.ledger_entries settled
            ON settled.tenant_id = event.tenant_id AND settled.kind = 'adjust' AND settled.bucket = 'system'
            AND event.dedupe_key = concat_ws('/', translate(settled.tenant_id::text, '-', ''), settled.reason,
                                             translate(settled.request_id::text, '-', ''))
        WHERE event.event_type = 'system_usage' AND settled.id IS NULL""",
    "system_call_that_is_settled_twice": """
        SELECT min(request_id::text) FROM mini_chat.ledger_entries
        WHERE kind = 'adjust' AND bucket = 'system' AND request_id IS NOT NULL
        GROUP BY tenant_id, request_id HAVING count(*) > 1""",
}
