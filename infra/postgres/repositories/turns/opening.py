"""The statements that bring a turn into being: its place in the chat, its rows, and the turn that it replaces."""

from datetime import timedelta
from typing import Final

import asyncpg
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    ScalarSelect,
    Text,
    and_,
    case,
    func,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import INTERVAL, JSONB
from sqlalchemy.orm import aliased

from domain.chats.models import NewChat
from domain.limits.turn_caps import RunningTurns
from domain.messages.models import Role
from domain.turns.models import (
    NewTurn,
    TurnState,
)
from infra.postgres.orm.chat import ChatRow
from infra.postgres.orm.ledger_entry import LedgerEntryRow
from infra.postgres.orm.message import MessageRow
from infra.postgres.orm.turn import TurnRow
from infra.postgres.prepared import Prepared, json_text
from infra.postgres.repositories.bound import OUR_LIVE_CHAT, OUR_TURNS, TENANT, USER
from infra.postgres.repositories.bound import bound as _b
from infra.postgres.repositories.titles import FIRST_LINE, USERS_OWN
from infra.postgres.repositories.turns.terms import model_of, prices_of

_MESSAGES_PER_TURN: Final = 2
_FIRST_SEQ: Final = 1

_Other = aliased(TurnRow, name="other")

# Who opens a turn holds this lock to the end, so that the next one counts it; a later statement sees what was committed
# while an earlier one waited.
_queued = func.pg_advisory_xact_lock(_b("queue", BigInteger()))
QUEUE_UP: Final = Prepared(select(_queued))

_first_line = _b("first_line", Text())
RESERVE_SEQ: Final = Prepared(
    update(ChatRow)
    .where(OUR_LIVE_CHAT, ChatRow.revision == _b("seen_revision"))
    .values(
        title=func.coalesce(ChatRow.title, _first_line),
        title_source=case(
            (and_(ChatRow.title.is_(None), _first_line.is_not(None)), literal_column(f"'{FIRST_LINE}'")),
            else_=ChatRow.title_source,
        ),
        last_seq=ChatRow.last_seq + _MESSAGES_PER_TURN,
        revision=ChatRow.revision + 1,
        updated_at=func.now(),
    )
    .returning(ChatRow.last_seq, _queued)
)


def _running(*whose: ColumnElement[bool]) -> ScalarSelect[int]:
    """But for the turn that the statement itself opens."""
    runs = _Other.state == TurnState.RUNNING.value
    return select(func.count()).where(_Other.tenant_id == TENANT, runs, *whose).scalar_subquery()


_RUNNING_TURNS: Final = (_running(_Other.user_id == USER).label("of_user"), _running().label("of_tenant"))
RUNNING: Final = Prepared(select(*_RUNNING_TURNS))

_founded = (
    insert(ChatRow)
    .values(
        tenant_id=TENANT,
        user_id=USER,
        id=_b("chat_id"),
        model=_b("selected_model"),
        title=_b("title"),
        title_source=_b("title_source"),
        is_temporary=_b("is_temporary"),
        metadata_=_b("chat_metadata", JSONB()),
        last_seq=_MESSAGES_PER_TURN,
        revision=1,
    )
    .cte("founded")
)

_lease_from_now = func.now() + _b("lease", INTERVAL())
_said = (
    insert(MessageRow)
    .values(
        tenant_id=TENANT,
        id=_b("user_message_id"),
        chat_id=_b("chat_id"),
        turn_id=_b("turn_id"),
        request_id=_b("request_id"),
        seq=_b("user_seq"),
        role=Role.USER.value,
        content=_b("content"),
        is_partial=False,
        metadata_=_b("metadata", JSONB(none_as_null=True)),
    )
    .cte("said")
)
_noted = (
    insert(LedgerEntryRow)
    .values(
        tenant_id=TENANT,
        user_id=USER,
        kind="reserve",
        model=_b("effective_model"),
        credits_micro=_b("reserved_micro"),
        **{
            name: _b(name)
            for name in (
                "turn_id",
                "chat_id",
                "request_id",
                "tier",
                "tenant_bucket",
                "period_day",
                "period_month",
                "policy_version",
            )
        },
    )
    .cte("noted")
)
_opened = (
    insert(TurnRow)
    .values(
        tenant_id=TENANT,
        user_id=USER,
        id=_b("turn_id"),
        state=TurnState.RUNNING.value,
        lease_until=_lease_from_now,
        **{
            name: _b(name)
            for name in (
                "chat_id",
                "request_id",
                "kind",
                "body_fingerprint",
                "on_disconnect",
                "user_seq",
                "user_message_id",
                "planned_message_id",
                "trace_id",
                "owner_id",
                "owner_epoch",
                "selected_model",
                "effective_model",
                "provider_id",
                "quota_decision",
                "downgrade_reason",
                "max_output_tokens",
                "web_search",
                "tier",
                "policy_version",
                "in_mult_micro",
                "out_mult_micro",
                "est_input_tokens",
                "generation_floor",
                "reserved_micro",
                "period_day",
                "period_month",
                "tenant_bucket",
                "fallback_model",
                "plan_tokens",
                "turns_dropped",
                "summary_applied",
                "web_search_held",
                "code_interpreter_held",
            )
        },
    )
    .returning(*_RUNNING_TURNS)
    .add_cte(_said, _noted)
)
OPEN: Final = Prepared(_opened)
OPEN_IN_NEW_CHAT: Final = Prepared(_opened.add_cte(_founded))

_replaced = (
    update(TurnRow)
    .where(
        OUR_TURNS,
        TurnRow.id == _b("old_turn_id"),
        TurnRow.chat_id == _b("chat_id"),
        TurnRow.state != TurnState.RUNNING.value,
        TurnRow.deleted_at.is_(None),
    )
    .values(deleted_at=func.now(), replaced_by_request_id=_b("request_id"))
    .returning(TurnRow.id)
    .cte("replaced")
)
_hidden = (
    update(MessageRow)
    .where(MessageRow.tenant_id == TENANT, MessageRow.turn_id == _replaced.c.id, MessageRow.deleted_at.is_(None))
    .values(deleted_at=func.now())
    .cte("hidden")
)
OPEN_IN_PLACE: Final = Prepared(_opened.add_cte(_replaced, _hidden))


def user_seq_of(row: asyncpg.Record) -> int:
    return int(row["last_seq"]) - _MESSAGES_PER_TURN + 1


def running_turns(row: asyncpg.Record | None) -> RunningTurns:
    assert row is not None  # noqa: S101 - a count is always told
    return RunningTurns(of_user=row["of_user"], of_tenant=row["of_tenant"])


def opening_values(turn: NewTurn, user_seq: int, lease: timedelta) -> dict[str, object]:
    brief, resolution, hold = turn.brief, turn.brief.resolution, turn.brief.hold
    return {
        "turn_id": brief.turn_id,
        "chat_id": brief.chat_id,
        "request_id": brief.request_id,
        "kind": turn.kind,
        "body_fingerprint": turn.fingerprint,
        "on_disconnect": brief.on_disconnect,
        "user_seq": user_seq,
        "user_message_id": turn.user_message_id,
        "planned_message_id": brief.message_id,
        "content": turn.content,
        "metadata": None if turn.metadata is None else json_text(turn.metadata),
        "web_search": turn.web_search,
        "fallback_model": turn.fallback_model,
        "trace_id": brief.trace.trace_id,
        "owner_id": turn.owner,
        "owner_epoch": brief.epoch,
        "lease": lease,
        "selected_model": resolution.selected_model,
        **model_of(brief),
        "quota_decision": resolution.decision,
        "downgrade_reason": resolution.downgrade_reason,
        **prices_of(hold),
        "tier": hold.tier,
        "policy_version": hold.policy_version,
        "reserved_micro": hold.credits_micro,
        "period_day": hold.day,
        "period_month": hold.month,
        "tenant_bucket": hold.in_tenant_buckets,
        "plan_tokens": turn.plan_tokens,
        "turns_dropped": turn.turns_dropped,
        "summary_applied": brief.recap_tokens is not None,
        "web_search_held": hold.tool_calls.web_search,
        "code_interpreter_held": hold.tool_calls.code_interpreter,
    }


def founding_values(turn: NewTurn, chat: NewChat, lease: timedelta) -> dict[str, object]:
    return {
        **opening_values(turn, _FIRST_SEQ, lease),
        "title": chat.title or chat.first_line,
        "title_source": _title_source(chat),
        "is_temporary": chat.is_temporary,
        "chat_metadata": json_text(chat.metadata),
    }


def _title_source(chat: NewChat) -> str | None:
    if chat.title is not None:
        return USERS_OWN
    return None if chat.first_line is None else FIRST_LINE
