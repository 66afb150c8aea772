"""Examples shown in the OpenAPI document, by operation; a test decodes every request into what its handler takes."""

from collections.abc import Mapping

_CHAT_ID = "0198c0de-79f0-7a01-9d00-1b2c3d4e5f60"
_REQUEST_ID = "0198c0de-7a10-7c3e-9b1f-5d2a4e6f8a01"
_MESSAGE_ID = "0198c0de-7a11-7d40-8c2e-6e3b5f708b12"
_MOMENT = "2026-03-01T09:30:00.000000Z"
_CHAT = {
    "id": _CHAT_ID,
    "model": "mock-ttft300-itl15-len150",
    "title": "Tides",
    "is_temporary": False,
    "is_favorite": False,
    "metadata": {},
    "message_count": 2,
    "created_at": _MOMENT,
    "updated_at": _MOMENT,
}
_ANSWER: Mapping[str, object] = {
    "id": _MESSAGE_ID,
    "request_id": _REQUEST_ID,
    "role": "assistant",
    "content": "High tide is at 14:05.",
    "attachments": [],
    "my_reaction": None,
    "model": "mock-ttft300-itl15-len150",
    "input_tokens": 12,
    "output_tokens": 9,
    "created_at": _MOMENT,
    "seq": 2,
    "status": "complete",
    "finish_reason": "stop",
}
_MODEL = {
    "model_id": "mock-ttft300-itl15-len150",
    "display_name": "Scripted",
    "tier": "standard",
    "multimodal_capabilities": [],
    "context_window": 128000,
}
_CHARGE = {
    "id": "0198c0de-7a10-7c3e-9b1f-5d2a4e6f8a03",
    "kind": "turn",
    "chat_id": _CHAT_ID,
    "request_id": _REQUEST_ID,
    "model": "mock-ttft300-itl15-len150",
    "outcome": "completed",
    "input_tokens": 12,
    "output_tokens": 9,
    "source": "reported",
    "credits_micro": 21,
    "created_at": _MOMENT,
}
_USAGE_SUM = {
    "tenant_id": "0198c0de-0000-7a01-9d00-1b2c3d4e5f62",
    "day": "2026-03-01",
    "turns": 3,
    "input_tokens": 36,
    "output_tokens": 27,
    "credits_micro": 63,
}
_PERIOD = {
    "period": "daily",
    "limit_credits_micro": 100_000_000,
    "used_credits_micro": 85_000_000,
    "remaining_credits_micro": 15_000_000,
    "remaining_percentage": 15,
    "next_reset": "2026-03-02T00:00:00.000000Z",
    "warning": True,
    "exhausted": False,
}
_LIMITS = {
    "total": {"limit_daily_credits_micro": 100_000_000, "limit_monthly_credits_micro": None},
    "premium": {"limit_daily_credits_micro": 0, "limit_monthly_credits_micro": 0},
}
_TENANT_QUOTAS = {
    "tenant_id": "0198c0de-79f0-7a01-9d00-1b2c3d4e5f62",
    "tenant_limits": _LIMITS,
    "user_defaults": _LIMITS,
    "version": 1,
    "tiers": [{"tier": "total", "periods": [_PERIOD]}],
}
_USER_QUOTAS = {
    "tenant_id": "0198c0de-79f0-7a01-9d00-1b2c3d4e5f62",
    "user_id": "0198c0de-79f0-7a01-9d00-1b2c3d4e5f61",
    "limits": _LIMITS,
    "effective": _LIMITS,
    "version": 1,
    "tiers": [{"tier": "total", "periods": [_PERIOD]}],
}
_ME = {
    "subject_id": "0198c0de-79f0-7a01-9d00-1b2c3d4e5f61",
    "tenant_id": "0198c0de-79f0-7a01-9d00-1b2c3d4e5f62",
    "roles": ["user"],
    "features": ["ai_chat"],
    "auth_method": "jwt",
    "expires_at": _MOMENT,
}
_RESULT = {
    "chat_id": _CHAT_ID,
    "request_id": _REQUEST_ID,
    "is_new_turn": True,
    "user_message_id": "0198c0de-7a10-7c3e-9b1f-5d2a4e6f8a02",
    "message": _ANSWER,
    "usage": {"input_tokens": 12, "output_tokens": 9},
    "effective_model": "mock-ttft300-itl15-len150",
    "selected_model": "mock-ttft300-itl15-len150",
    "quota_decision": "allow",
    "quota_warnings": [],
    "finish_reason": "stop",
    "timing": {"ttft_ms": 300, "total_ms": 435},
}
_TURN = {
    "request_id": _REQUEST_ID,
    "state": "done",
    "assistant_message_id": _MESSAGE_ID,
    "updated_at": "2026-03-01T09:30:01.409000Z",
    "created_at": _MOMENT,
    "effective_model": "mock-ttft300-itl15-len150",
    "finish_reason": "stop",
}
_RECEIPT = {
    "state": "cancelled",
    "upstream_closed_ms": 3,
    "tokens_generated": 12,
    "credits_charged_micro": 0,
    "credits_released_micro": 0,
}
_SWITCH = {
    "id": "0198c0de-7b00-7c3e-9b1f-5d2a4e6f8a03",
    "scope": "model",
    "target": "gpt-large",
    "mode": "abort",
    "reason": "The provider answers nonsense.",
    "version": 1,
    "created_by": "0198c0de-0000-7a01-9d00-1b2c3d4e5f61",
    "created_at": _MOMENT,
    "expires_at": "2026-03-01T10:30:00.000000Z",
}
_ENTRY = {
    **_MODEL,
    "enabled": True,
    "is_default": True,
    "sort_order": 0,
    "provider_id": "scripted",
    "provider_model_id": "mock-ttft300-itl15-len150",
    "input_tokens_credit_multiplier_micro": 1000000,
    "output_tokens_credit_multiplier_micro": 1000000,
    "max_input_tokens": 96000,
    "max_output_tokens": 4096,
    "version": 0,
}
_DEAD_JOB = {
    "id": 1841,
    "queue": "audit_export",
    "tenant_id": "0198c0de-0000-7a01-9d00-1b2c3d4e5f60",
    "attempts": 20,
    "error_code": "sink_unavailable",
    "created_at": _MOMENT,
    "died_at": _MOMENT,
}
_EFFECT = {"switch": _SWITCH, "dry_run": False, "affected_live_turns": 12, "will_abort": True}
_LIVE_TURN = {
    "turn_id": "0198c0de-7a10-7c3e-9b1f-5d2a4e6f8a09",
    "tenant_id": "0198c0de-0000-7a01-9d00-1b2c3d4e5f62",
    "user_id": "0198c0de-0000-7a01-9d00-1b2c3d4e5f61",
    "chat_id": _CHAT_ID,
    "request_id": _REQUEST_ID,
    "effective_model": "gpt-large",
    "provider_id": "cloud",
    "phase": "streaming",
    "on_disconnect": "cancel",
    "started_at": _MOMENT,
    "last_progress_at": "2026-03-01T09:30:05.000000Z",
    "lease_until": "2026-03-01T09:30:25.000000Z",
    "owner_id": "0198c0de-0000-7a01-9d00-1b2c3d4e5f63",
    "owner_epoch": 1,
}
_SEND = {
    "content": "When is high tide?",
    "request_id": _REQUEST_ID,
    "web_search": {"enabled": True},
    "on_disconnect": "cancel",
}
_CREATE_AND_SEND = {**_SEND, "title": "Tides"}
_PAGE_INFO = {"next_cursor": None, "prev_cursor": None, "limit": 20}

EVENT_STREAM = (
    f'id: 1\nevent: stream_started\ndata: {{"request_id":"{_REQUEST_ID}",'
    f'"message_id":"{_MESSAGE_ID}","is_new_turn":true}}\n\n'
    'id: 2\nevent: tool\ndata: {"phase":"start","name":"web_search","details":{}}\n\n'
    'id: 3\nevent: tool\ndata: {"phase":"done","name":"web_search","details":{}}\n\n'
    'id: 4\nevent: delta\ndata: {"type":"text","content":"High tide is "}\n\n'
    'id: 5\nevent: delta\ndata: {"type":"text","content":"at 14:05."}\n\n'
    'id: 6\nevent: citations\ndata: {"items":[{"source":"web","title":"Tides","url":"https://example.org/tides",'
    '"snippet":"High water at 14:05.","span":{"start":0,"end":22}}]}\n\n'
    'id: 7\nevent: done\ndata: {"usage":{"input_tokens":12,"output_tokens":9},'
    '"effective_model":"mock-ttft300-itl15-len150","selected_model":"mock-ttft300-itl15-len150",'
    '"quota_decision":"allow","quota_warnings":[],"finish_reason":"stop",'
    '"timing":{"ttft_ms":300,"total_ms":435}}\n\n'
)

REQUESTS: Mapping[str, object] = {
    "mini_chat.create_chat": {"title": "Tides", "metadata": {"team": "harbour"}},
    "mini_chat.update_chat": {
        "title": "Tides and currents",
        "is_favorite": True,
        "metadata": {"team": None, "port": "Bremen"},
    },
    "mini_chat.generate_title": {"dry_run": False},
    "mini_chat.send_message": _SEND,
    "mini_chat.stream_message": _SEND,
    "mini_chat.create_chat_and_send": _CREATE_AND_SEND,
    "mini_chat.create_chat_and_stream": _CREATE_AND_SEND,
    "mini_chat.retry_turn": {"request_id": _REQUEST_ID, "web_search": {"enabled": True}},
    "mini_chat.change_catalogue_entry": {"enabled": False, "expected_version": 0},
    "mini_chat.reload_catalogue": {"dry_run": False},
    "mini_chat.abort_turn": {"reason": "It calls its tool for ever."},
    "mini_chat.set_tenant_quotas": {"tenant_limits": _LIMITS, "user_defaults": _LIMITS, "expected_version": 0},
    "mini_chat.set_user_quotas": {"limits": _LIMITS},
    "mini_chat.set_kill_switch": {
        "scope": "model",
        "target": "gpt-large",
        "mode": "abort",
        "reason": "The provider answers nonsense.",
        "expires_at": "2126-03-01T10:30:00Z",
        "expected_version": 0,
    },
    "mini_chat.edit_turn": {"content": "When is low tide?", "request_id": _REQUEST_ID},
}

ANSWERS: Mapping[str, object] = {
    "mini_chat.get_me": _ME,
    "mini_chat.create_chat": _CHAT,
    "mini_chat.list_chats": {
        "items": [{**_CHAT, "last_message_preview": "High tide is at 14:05."}],
        "page_info": _PAGE_INFO,
        "groups": [{"key": "today", "date": "2026-03-01", "ids": [_CHAT_ID]}],
    },
    "mini_chat.get_chat": _CHAT,
    "mini_chat.update_chat": {
        **_CHAT,
        "title": "Tides and currents",
        "is_favorite": True,
        "metadata": {"port": "Bremen"},
    },
    "mini_chat.restore_chat": _CHAT,
    "mini_chat.generate_title": {"title": "High tide at Bremen", "source": "model"},
    "mini_chat.list_messages": {"items": [_ANSWER], "page_info": _PAGE_INFO},
    "mini_chat.list_models": {"items": [_MODEL]},
    "mini_chat.list_usage": {"items": [_CHARGE], "page_info": _PAGE_INFO},
    "mini_chat.sum_usage": {"items": [_USAGE_SUM], "page_info": _PAGE_INFO},
    "mini_chat.get_tenant_quotas": _TENANT_QUOTAS,
    "mini_chat.set_tenant_quotas": _TENANT_QUOTAS,
    "mini_chat.get_user_quotas": _USER_QUOTAS,
    "mini_chat.set_user_quotas": _USER_QUOTAS,
    "mini_chat.get_quota_status": {"tiers": [{"tier": "total", "periods": [_PERIOD]}], "warning_threshold_pct": 20},
    "mini_chat.get_model": _MODEL,
    "mini_chat.send_message": _RESULT,
    "mini_chat.create_chat_and_send": _RESULT,
    "mini_chat.get_turn": _TURN,
    "mini_chat.cancel_turn": _RECEIPT,
    "mini_chat.list_live_turns": {"items": [_LIVE_TURN], "page_info": _PAGE_INFO},
    "mini_chat.abort_turn": {**_RECEIPT, "turn_id": "0198c0de-7a10-7c3e-9b1f-5d2a4e6f8a09"},
    "mini_chat.list_catalogue": {"catalogue_version": "3", "loaded_at": _MOMENT, "items": [_ENTRY]},
    "mini_chat.reload_catalogue": {
        "catalogue_version": "4",
        "loaded_at": _MOMENT,
        "added": ["gpt-large"],
        "removed": [],
        "changed": ["mock-ttft300-itl15-len150"],
    },
    "mini_chat.change_catalogue_entry": {**_ENTRY, "enabled": False, "version": 1},
    "mini_chat.list_kill_switches": {"items": [_SWITCH], "page_info": _PAGE_INFO},
    "mini_chat.set_kill_switch": _EFFECT,
    "mini_chat.list_dead_jobs": {"items": [_DEAD_JOB], "page_info": _PAGE_INFO},
    "mini_chat.list_queues": {
        "items": [{"queue": "audit_export", "waiting": 3, "running": 1, "dead": 1, "oldest_dead_at": _MOMENT}],
    },
    "mini_chat.redrive_job": {"redriven": 1},
    "mini_chat.redrive_queue": {"redriven": 12},
    "mini_chat.clear_kill_switch": {**_EFFECT, "will_abort": False},
}
