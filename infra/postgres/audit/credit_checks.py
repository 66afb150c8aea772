"""What must hold of the credits at any time (reliability.md, I-30 to I-35).

Everything is computed again from the rows of the turns: counters and ledger have to agree with them.
"""

from typing import Final

_BOOKED: Final = """
    SELECT turn.tenant_id, holder.subject_id, period.period_type, period.period_start, kind.bucket,
        coalesce(sum(turn.reserved_micro) FILTER (WHERE turn.state = 'running'), 0) AS reserved_micro,
        coalesce(sum(turn.settled_micro), 0) AS spent_micro,
        count(*) FILTER (WHERE turn.settlement <> 'released') AS calls,
        coalesce(sum(turn.input_tokens) FILTER (WHERE kind.bucket = 'total'), 0) AS input_tokens,
        coalesce(sum(turn.output_tokens) FILTER (WHERE kind.bucket = 'total'), 0) AS output_tokens,
        coalesce(sum(turn.web_search_held) FILTER (WHERE tools.count_here AND turn.state = 'running'), 0)
            AS web_search_held,
        coalesce(sum(turn.code_interpreter_held) FILTER (WHERE tools.count_here AND turn.state = 'running'), 0)
            AS code_interpreter_held,
        coalesce(sum(turn.web_search_calls) FILTER (WHERE tools.count_here), 0) AS web_search_calls,
        coalesce(sum(turn.code_interpreter_calls) FILTER (WHERE tools.count_here), 0) AS code_interpreter_calls,
        coalesce(sum(turn.file_search_calls) FILTER (WHERE tools.count_here), 0) AS file_search_calls
    FROM mini_chat.chat_turns turn
    CROSS JOIN LATERAL (
        VALUES (turn.user_id, true), ('00000000-0000-0000-0000-000000000000'::uuid, turn.tenant_bucket)
    ) AS holder (subject_id, counts)
    CROSS JOIN LATERAL (
        VALUES ('daily', turn.period_day), ('monthly', turn.period_month)
    ) AS period (period_type, period_start)
    CROSS JOIN LATERAL (VALUES ('total', true), ('tier:premium', turn.tier = 'premium')) AS kind (bucket, counts)
    CROSS JOIN LATERAL (
        SELECT (holder.subject_id, period.period_type, kind.bucket) = (turn.user_id, 'daily', 'total')
    ) AS tools (count_here)
    WHERE turn.reserved_micro IS NOT NULL AND holder.counts AND kind.counts
    GROUP BY 1, 2, 3, 4, 5
"""

_TOOL_COUNTERS: Final = (
    "web_search_held",
    "code_interpreter_held",
    "web_search_calls",
    "code_interpreter_calls",
    "file_search_calls",
)
_COUNTED_CALLS: Final = ", ".join(f"counted.{counter}" for counter in _TOOL_COUNTERS)
_BOOKED_CALLS: Final = ", ".join(f"coalesce(booked.{counter}, 0)" for counter in _TOOL_COUNTERS)

_PRICED: Final = """
    SELECT turn.*,
        ceil(input_tokens * in_mult_micro / 1000000.0) + ceil(output_tokens * out_mult_micro / 1000000.0) AS cost_micro,
        ceil(est_input_tokens * in_mult_micro / 1000000.0)
            + ceil(max_output_tokens * out_mult_micro / 1000000.0) AS longest_micro
    FROM mini_chat.chat_turns turn WHERE reserved_micro IS NOT NULL
"""

_SAME_TURN: Final = """
    (entry.user_id, entry.chat_id, entry.request_id, entry.tier, entry.tenant_bucket, entry.period_day,
        entry.period_month, entry.policy_version)
    = (turn.user_id, turn.chat_id, turn.request_id, turn.tier, turn.tenant_bucket,
        turn.period_day, turn.period_month, turn.policy_version)
    AND entry.model
        = CASE entry.kind WHEN 'reserve' THEN coalesce(turn.went_over_from, turn.effective_model)
            ELSE turn.effective_model END
"""

CREDIT_CHECKS: Final = {
    "bucket_that_differs_from_its_turns": f"""
        SELECT tenant_id, subject_id, period_type, period_start, bucket, booked.spent_micro, booked.reserved_micro,
            counted.spent_micro AS counted_spent_micro, counted.reserved_micro AS counted_reserved_micro
        FROM ({_BOOKED}) AS booked
        FULL JOIN (
            SELECT bucket.*, (
                SELECT coalesce(sum(entry.credits_micro), 0) FROM mini_chat.ledger_entries entry
                WHERE entry.tenant_id = bucket.tenant_id AND entry.kind IN ('adjust', 'system')
                    AND (entry.subject_id, entry.period_type, entry.period_start, entry.bucket)
                        = (bucket.subject_id, bucket.period_type, bucket.period_start, bucket.bucket)
            ) AS adjusted_micro
            FROM mini_chat.quota_buckets bucket
        ) AS counted USING (tenant_id, subject_id, period_type, period_start, bucket)
        WHERE (counted.spent_micro - counted.adjusted_micro, counted.reserved_micro, counted.calls,
                counted.input_tokens, counted.output_tokens, {_COUNTED_CALLS})
            IS DISTINCT FROM (
                coalesce(booked.spent_micro, 0), coalesce(booked.reserved_micro, 0), coalesce(booked.calls, 0),
                coalesce(booked.input_tokens, 0), coalesce(booked.output_tokens, 0), {_BOOKED_CALLS})
    """,  # noqa: S608 - our own text
    "turn_with_other_than_its_entries_in_the_ledger": f"""
        SELECT turn.id, turn.state, turn.reserved_micro, turn.settled_micro
        FROM mini_chat.chat_turns turn LEFT JOIN mini_chat.ledger_entries entry
            ON entry.tenant_id = turn.tenant_id AND entry.turn_id = turn.id
        WHERE turn.reserved_micro IS NOT NULL
        GROUP BY turn.tenant_id, turn.id
        HAVING count(entry.id) <> CASE turn.state WHEN 'running' THEN 1 ELSE 2 END
            OR count(*) FILTER (WHERE {_SAME_TURN}
                AND (entry.kind, entry.credits_micro, entry.released_micro)
                    = ('reserve', turn.reserved_micro, 0)) <> 1
            OR count(*) FILTER (WHERE {_SAME_TURN}
                AND (entry.kind, entry.credits_micro, entry.released_micro, entry.outcome, entry.usage_source,
                    entry.input_tokens, entry.output_tokens)
                    = ('settle', turn.settled_micro, turn.reserved_micro, turn.state, turn.usage_source,
                    turn.input_tokens, turn.output_tokens))
                <> CASE turn.state WHEN 'running' THEN 0 ELSE 1 END
    """,  # noqa: S608 - our own text
    "entry_of_the_ledger_without_its_turn": """
        SELECT entry.id FROM mini_chat.ledger_entries entry LEFT JOIN mini_chat.chat_turns turn
            ON turn.tenant_id = entry.tenant_id AND turn.id = entry.turn_id AND turn.reserved_micro IS NOT NULL
        WHERE entry.kind IN ('reserve', 'settle') AND turn.id IS NULL""",
    # What may be answered by either of two models holds what the dearer one costs.
    "hold_that_is_not_what_its_estimate_costs": f"""
        SELECT id, reserved_micro, longest_micro FROM ({_PRICED}) AS turn
        WHERE reserved_micro < longest_micro OR (reserved_micro > longest_micro AND fallback_model IS NULL)
    """,  # noqa: S608 - our own text
    # The highest tolerance that can be set is 150 %.
    "charge_that_is_not_what_its_usage_costs": f"""
        SELECT id, settlement, usage_source, cost_micro, reserved_micro, settled_micro, capped
        FROM ({_PRICED}) AS turn
        WHERE state <> 'running' AND ((settled_micro, usage_source) IS DISTINCT FROM (
            CASE WHEN settlement = 'released' THEN 0 WHEN settlement = 'estimated' OR capped
                THEN least(cost_micro, reserved_micro) ELSE cost_micro END,
            CASE settlement WHEN 'released' THEN 'unknown' WHEN 'actual' THEN 'reported' ELSE settlement END)
            OR settled_micro * 100 > reserved_micro * 150)
    """,  # noqa: S608 - our own text
    "charge_without_a_call_or_call_for_nothing": """
        SELECT id, settlement, settled_micro, provider_started_at FROM mini_chat.chat_turns
        WHERE reserved_micro IS NOT NULL AND state <> 'running' AND settlement <> 'released'
            AND (provider_started_at IS NULL OR settled_micro = 0)""",
    "entry_of_the_ledger_without_its_bucket": """
        SELECT entry.id FROM mini_chat.ledger_entries entry LEFT JOIN mini_chat.quota_buckets counted
            ON (counted.tenant_id, counted.subject_id, counted.period_type, counted.period_start, counted.bucket)
                = (entry.tenant_id, entry.subject_id, entry.period_type, entry.period_start, entry.bucket)
        WHERE entry.kind IN ('adjust', 'system') AND counted.tenant_id IS NULL""",
    "turn_that_called_a_tool_more_often_than_it_held": """
        SELECT id, web_search_held, web_search_calls, code_interpreter_held, code_interpreter_calls
        FROM mini_chat.chat_turns
        WHERE web_search_calls > web_search_held OR code_interpreter_calls > code_interpreter_held""",
    "turn_that_held_searches_it_was_not_asked_for": """
        SELECT id, web_search_held FROM mini_chat.chat_turns WHERE web_search_held > 0 AND NOT web_search""",
    "turn_that_went_over_to_another_than_its_fallback": """
        SELECT id, went_over_from, effective_model, fallback_model FROM mini_chat.chat_turns
        WHERE went_over_from IS NOT NULL
            AND (effective_model <> fallback_model OR effective_model = went_over_from)""",
    "billing_outcome_that_contradicts_the_state": """
        SELECT id, state, billing_outcome FROM mini_chat.chat_turns
        WHERE (state = 'completed') <> (billing_outcome = 'completed')
           OR (state = 'cancelled' AND billing_outcome <> 'aborted')""",
}
