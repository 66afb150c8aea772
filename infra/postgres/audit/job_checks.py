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
    "job_that_is_there_twice": """
        SELECT min(id) FROM mini_chat.jobs GROUP BY entrypoint, payload HAVING count(*) > 1""",
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
    "usage_event_that_differs_from_its_turn": """
        SELECT turn.id FROM mini_chat.usage_events event JOIN mini_chat.chat_turns turn
            ON turn.tenant_id = event.tenant_id AND turn.id = event.turn_id
        WHERE (event.body ->> 'actual_credits_micro')::bigint IS DISTINCT FROM turn.settled_micro
           OR event.body ->> 'terminal_state' <> turn.state
           OR event.body ->> 'settlement_method' IS DISTINCT FROM turn.settlement""",
    "event_that_names_another_tenant": """
        SELECT id FROM mini_chat.audit_events WHERE (body ->> 'tenant_id')::uuid <> tenant_id
        UNION ALL SELECT id FROM mini_chat.usage_events WHERE (body ->> 'tenant_id')::uuid <> tenant_id""",
    "event_that_names_another_key": """
        SELECT id FROM mini_chat.audit_events WHERE body ->> 'dedupe_key' <> dedupe_key
        UNION ALL SELECT id FROM mini_chat.usage_events WHERE body ->> 'dedupe_key' <> dedupe_key""",
    "event_that_should_be_forgotten": """
        SELECT id FROM mini_chat.audit_events WHERE expires_at < now() - interval '1 day'
        UNION ALL SELECT id FROM mini_chat.usage_events WHERE expires_at < now() - interval '1 day'""",
}
