"""What holds of credits in tests alone: turns are begun by this program alone, and within its own tolerance."""

from typing import Final

CREDIT_CHECKS: Final = {
    "a turn that holds nothing": """
        SELECT id FROM mini_chat.chat_turns WHERE reserved_micro IS NULL""",
    "credits held while nothing runs": """
        SELECT * FROM mini_chat.quota_buckets
        WHERE reserved_micro <> 0 OR web_search_held <> 0 OR code_interpreter_held <> 0""",
    "a charge beyond the tolerance, or capped within it": """
        SELECT id, settled_micro, capped FROM (
            SELECT *, ceil(input_tokens * in_mult_micro / 1000000.0)
                + ceil(output_tokens * out_mult_micro / 1000000.0) AS cost_micro
            FROM mini_chat.chat_turns) AS turn
        WHERE capped <> (settlement = 'actual' AND (
            (input_tokens + output_tokens) * 100 > (est_input_tokens + max_output_tokens) * 110
            OR cost_micro * 100 > reserved_micro * 110))""",
}
