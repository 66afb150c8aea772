"""What must hold of jobs and of the events they carry (reliability.md I-50, I-51)."""

from typing import Final

JOB_CHECKS: Final = {
    # Longer than any pause of a worker; whoever runs none at all is told as well.
    "job_that_nobody_takes": """
        SELECT id FROM mini_chat.jobs WHERE status = 'queued' AND execute_after < now() - interval '5 minutes'""",
    "job_of_a_lost_worker_that_nobody_takes": """
        SELECT id FROM mini_chat.jobs WHERE status = 'picked' AND heartbeat < now() - interval '5 minutes'""",
    "job_in_a_state_that_ends_nowhere": """
        SELECT id FROM mini_chat.jobs WHERE status NOT IN ('queued', 'picked', 'failed')""",
    # A dead summary job may be asked for again, and once is enough however often it is done.
    "job_that_is_there_twice": """
        SELECT min(id) FROM mini_chat.jobs WHERE entrypoint <> 'thread_summary'
        GROUP BY entrypoint, payload HAVING count(*) > 1""",
    "job_that_says_of_another_tenant": """
        SELECT id FROM mini_chat.jobs
        WHERE headers ->> 'tenant_id' IS DISTINCT FROM convert_from(payload, 'utf8')::jsonb ->> 'tenant_id'""",
    # Whose events may have been forgotten by now is left out.
    "ended_turn_without_its_two_events": """
        SELECT turn.id FROM mini_chat.chat_turns turn
        WHERE turn.settled_micro IS NOT NULL AND turn.completed_at > now() - interval '1 day' AND NOT (
            EXISTS (SELECT FROM mini_chat.usage_events event
                    WHERE event.tenant_id = turn.tenant_id AND event.dedupe_key
                        = concat_ws('/', translate(turn.tenant_id::text, '-', ''), translate(turn.id::text, '-', ''),
                                    translate(turn.request_id::text, '-', '')))
            AND EXISTS (SELECT FROM mini_chat.audit_events event
                        WHERE event.tenant_id = turn.tenant_id
                          AND event.dedupe_key = concat_ws('/', turn.tenant_id, turn.id, 'ended')))""",
    # Turns are never deleted, so an event outlives none. Those that held nothing were settled by nobody.
    "usage_event_that_differs_from_its_turn": """
        SELECT event.id FROM mini_chat.usage_events event LEFT JOIN mini_chat.chat_turns turn
            ON turn.tenant_id = event.tenant_id AND turn.id = event.turn_id
        WHERE (turn.id IS NULL OR turn.reserved_micro IS NOT NULL) AND event.event_type <> 'system_usage' AND (
            (event.user_id, event.chat_id, (event.body ->> 'actual_credits_micro')::bigint,
                (event.body ->> 'reserved_credits_micro')::bigint, (event.body ->> 'capped')::boolean,
                event.body ->> 'terminal_state', event.body ->> 'billing_outcome', event.body ->> 'settlement_method',
                event.body ->> 'usage_source', event.body ->> 'effective_model', event.body ->> 'selected_model',
                event.body ->> 'provider_id', (event.body ->> 'policy_version_applied')::bigint)
            IS DISTINCT FROM (turn.user_id, turn.chat_id, turn.settled_micro, turn.reserved_micro, turn.capped,
                turn.state, turn.billing_outcome, turn.settlement, turn.usage_source, turn.effective_model,
                turn.selected_model, turn.provider_id, turn.policy_version)
           OR (coalesce((event.body #>> '{usage,input_tokens}')::bigint, 0),
                coalesce((event.body #>> '{usage,output_tokens}')::bigint, 0))
            IS DISTINCT FROM (turn.input_tokens, turn.output_tokens)
           OR ((event.body #>> '{tool_calls,web_search}')::integer,
                (event.body #>> '{tool_calls,code_interpreter}')::integer,
                (event.body #>> '{tool_calls,file_search}')::integer)
            IS DISTINCT FROM (turn.web_search_calls, turn.code_interpreter_calls, turn.file_search_calls))""",
    "audit_event_without_its_turn": """
        SELECT event.id FROM mini_chat.audit_events event LEFT JOIN mini_chat.chat_turns turn
            ON turn.tenant_id = event.tenant_id AND turn.id = event.turn_id
        WHERE event.turn_id IS NOT NULL AND turn.id IS NULL""",
    "event_that_names_another_tenant": """
        SELECT id FROM mini_chat.audit_events WHERE (body ->> 'tenant_id')::uuid IS DISTINCT FROM tenant_id
        UNION ALL SELECT id FROM mini_chat.usage_events
        WHERE (body ->> 'tenant_id')::uuid IS DISTINCT FROM tenant_id""",
    "event_that_names_another_key": """
        SELECT id FROM mini_chat.audit_events WHERE body ->> 'dedupe_key' IS DISTINCT FROM dedupe_key
        UNION ALL SELECT id FROM mini_chat.usage_events WHERE body ->> 'dedupe_key' IS DISTINCT FROM dedupe_key""",
    "event_that_should_be_forgotten": """
        SELECT id FROM mini_chat.audit_events WHERE expires_at < now() - interval '1 day'
        UNION ALL SELECT id FROM mini_chat.usage_events WHERE expires_at < now() - interval '1 day'""",
}
