"""What must hold of chats, messages, turns and leases at any time: each query finds what breaks it."""

from typing import Final

TURN_CHECKS: Final = {
    "turn_without_its_user_message": """
        SELECT turn.id FROM mini_chat.chat_turns turn LEFT JOIN mini_chat.messages message
            ON message.tenant_id = turn.tenant_id AND message.id = turn.user_message_id
            AND message.role = 'user' AND message.seq = turn.user_seq
        WHERE message.id IS NULL""",
    "completed_turn_without_its_whole_answer": """
        SELECT turn.id FROM mini_chat.chat_turns turn LEFT JOIN mini_chat.messages message
            ON message.tenant_id = turn.tenant_id AND message.id = turn.assistant_message_id
            AND message.seq = turn.user_seq + 1 AND NOT message.is_partial
        WHERE turn.state = 'completed' AND message.id IS NULL""",
    "answer_that_says_it_is_whole_and_is_not": """
        SELECT turn.id FROM mini_chat.chat_turns turn JOIN mini_chat.messages message
            ON message.tenant_id = turn.tenant_id AND message.turn_id = turn.id AND message.role = 'assistant'
        WHERE turn.state <> 'completed' AND NOT message.is_partial""",
    "message_that_its_turn_does_not_name": """
        SELECT message.id FROM mini_chat.messages message LEFT JOIN mini_chat.chat_turns turn
            ON turn.tenant_id = message.tenant_id AND turn.id = message.turn_id AND turn.chat_id = message.chat_id
            AND message.id IN (turn.user_message_id, turn.assistant_message_id)
        WHERE turn.id IS NULL""",
    "saved_parts_of_an_ended_turn": """
        SELECT turn.id FROM mini_chat.chat_turns turn JOIN mini_chat.turn_parts part
            ON part.tenant_id = turn.tenant_id AND part.turn_id = turn.id""",
    "message_and_turn_deleted_apart": """
        SELECT turn.id FROM mini_chat.chat_turns turn JOIN mini_chat.messages message
            ON message.tenant_id = turn.tenant_id AND message.turn_id = turn.id
        WHERE (turn.deleted_at IS NULL) <> (message.deleted_at IS NULL)""",
    "replaced_turn_without_the_one_in_its_place": """
        SELECT turn.id FROM mini_chat.chat_turns turn LEFT JOIN mini_chat.chat_turns heir
            ON heir.tenant_id = turn.tenant_id AND heir.chat_id = turn.chat_id
            AND heir.request_id = turn.replaced_by_request_id
            AND heir.user_seq > turn.user_seq AND heir.kind IN ('retry', 'edit')
        WHERE turn.replaced_by_request_id IS NOT NULL AND heir.id IS NULL""",
    "change_in_the_place_of_other_than_one_turn": """
        SELECT heir.id FROM mini_chat.chat_turns heir LEFT JOIN mini_chat.chat_turns turn
            ON turn.tenant_id = heir.tenant_id AND turn.chat_id = heir.chat_id
            AND turn.replaced_by_request_id = heir.request_id
        WHERE heir.kind IN ('retry', 'edit')
        GROUP BY heir.tenant_id, heir.id HAVING count(turn.id) <> 1""",
    "chat_that_miscounts_its_live_messages": """
        SELECT chat.id, chat.message_count, count(message.id)
        FROM mini_chat.chats chat LEFT JOIN mini_chat.messages message
            ON message.tenant_id = chat.tenant_id AND message.chat_id = chat.id AND message.deleted_at IS NULL
        GROUP BY chat.tenant_id, chat.id HAVING chat.message_count <> count(message.id)""",
    "chat_with_two_running_turns": """
        SELECT chat_id FROM mini_chat.chat_turns WHERE state = 'running'
        GROUP BY tenant_id, chat_id HAVING count(*) > 1""",
    "message_beyond_the_last_number_of_its_chat": """
        SELECT message.id FROM mini_chat.messages message JOIN mini_chat.chats chat
            ON chat.tenant_id = message.tenant_id AND chat.id = message.chat_id
        WHERE message.seq > chat.last_seq""",
    "summary_that_covers_a_removed_turn": """
        SELECT turn.id FROM mini_chat.thread_summaries summary JOIN mini_chat.chat_turns turn
            ON turn.tenant_id = summary.tenant_id AND turn.chat_id = summary.chat_id
            AND turn.user_seq <= summary.covers_seq AND turn.deleted_at > summary.updated_at""",
    "summary_that_ends_within_a_turn": """
        SELECT summary.chat_id FROM mini_chat.thread_summaries summary LEFT JOIN mini_chat.chat_turns turn
            ON turn.tenant_id = summary.tenant_id AND turn.chat_id = summary.chat_id
            AND turn.user_seq = summary.covers_seq - 1 AND turn.state IN ('completed', 'cancelled')
        WHERE summary.covers_seq > 0 AND turn.id IS NULL""",
    # In every legal configuration a lost turn has been ended by then.
    "running_turn_whose_lease_ran_out_long_ago": """
        SELECT id FROM mini_chat.chat_turns
        WHERE state = 'running' AND lease_until < now() - interval '120 seconds'""",
    "session_idle_in_a_transaction": """
        SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND state LIKE 'idle in transaction%'
          AND state_change < now() - interval '2 seconds'""",
}
