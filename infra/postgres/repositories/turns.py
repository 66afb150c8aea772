"""The turns of one owner. Each state change is one conditional statement: only if nobody else did.

The statements are built once, when the module is read: building them costs more than running them. Every one
names `tenant_id` and `user_id`, which come from the scope.
"""

from collections.abc import Mapping
from datetime import timedelta
from hashlib import blake2b
from typing import Any, Final

import asyncpg
import msgspec
from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    ColumnElement,
    CursorResult,
    Executable,
    Integer,
    Row,
    ScalarSelect,
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
    literal_column,
    not_,
    null,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import INTERVAL, JSONB, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import InstrumentedAttribute, aliased

from domain.catalogue.models import Tier
from domain.chats.models import NewChat
from domain.context.history import History
from domain.ids import ChatId, MessageId, RequestId, TurnId
from domain.limits.turn_caps import RunningTurns
from domain.messages.models import Role
from domain.providers.events import Citation, Finish
from domain.quotas.credits import Prices
from domain.quotas.limits import UNLIMITED_MICRO
from domain.quotas.models import Hold
from domain.quotas.periods import PeriodType
from domain.scope import AccessScope
from domain.streaming.models import StopReason
from domain.streaming.ports import TurnBrief
from domain.tools.calls import ToolCalls
from domain.turns.models import (
    Fence,
    Founding,
    Gate,
    NewTurn,
    Remains,
    StoredAnswer,
    StoredFailure,
    TurnIdentity,
    TurnKind,
    TurnResult,
    TurnState,
    TurnSummary,
)
from infra.postgres.connection_pool import driver_of
from infra.postgres.orm.chat import ChatRow
from infra.postgres.orm.ledger_entry import LedgerEntryRow
from infra.postgres.orm.message import MessageRow
from infra.postgres.orm.turn import TurnRow
from infra.postgres.orm.turn_part import TurnPartRow
from infra.postgres.prepared import Prepared, json_text
from infra.postgres.repositories.bound import OUR_CHAT, OUR_LIVE_CHAT, OUR_TURN, OUR_TURNS, TENANT, USER
from infra.postgres.repositories.bound import bound as _b
from infra.postgres.repositories.cancellations import reason_of
from infra.postgres.repositories.histories import HISTORY, history_of
from infra.postgres.repositories.messages import MESSAGE_COLUMNS, message_of
from infra.postgres.repositories.quotas import STANDING, standing_of
from infra.postgres.repositories.titles import FIRST_LINE, IS_OPEN, USERS_OWN

_MESSAGES_PER_TURN: Final = 2
_FIRST_SEQ: Final = 1


def _bound(values: Mapping[str, object]) -> dict[str, object]:
    return {f"b_{name}": value for name, value in values.items()}


_Same = aliased(TurnRow, name="same_request")
_Running = aliased(TurnRow, name="running")
_Completed = aliased(TurnRow, name="completed")
_Other = aliased(TurnRow, name="other")
_Asked = aliased(MessageRow, name="asked")
_Answered = aliased(MessageRow, name="answered")


def _in_chat(turn: type[TurnRow]) -> ColumnElement[bool]:
    return and_(turn.tenant_id == ChatRow.tenant_id, turn.chat_id == ChatRow.id)


def _message_of_turn(message: type[MessageRow], message_id: InstrumentedAttribute[Any]) -> ColumnElement[bool]:
    return and_(message.tenant_id == TurnRow.tenant_id, message.id == message_id)


# The second half is looked up only where the first holds: for a chat that was named it costs nothing.
_awaits_title = and_(
    IS_OPEN,
    not_(exists().where(_in_chat(_Completed), _Completed.state == TurnState.COMPLETED.value).correlate(ChatRow)),
)
_GATE: Final = Prepared(
    select(
        ChatRow.model,
        ChatRow.revision,
        _Same.id,
        _Same.state,
        _Same.body_fingerprint,
        _Same.deleted_at,
        _Running.request_id.label("running_request_id"),
        ChatRow.title.is_(None).label("is_untitled"),
        _awaits_title.label("awaits_title"),
        *STANDING,
    )
    .outerjoin(_Same, and_(_in_chat(_Same), _Same.request_id == _b("request_id")))
    .outerjoin(_Running, and_(_in_chat(_Running), _Running.state == TurnState.RUNNING.value))
    .where(OUR_LIVE_CHAT)
)

_FOUNDING: Final = Prepared(
    select(TurnRow.id, TurnRow.chat_id, TurnRow.state, TurnRow.body_fingerprint, TurnRow.deleted_at, *STANDING)
    .select_from(select(literal(1, Integer()).label("always")).subquery())
    .outerjoin(
        TurnRow,
        and_(OUR_TURNS, TurnRow.request_id == _b("request_id"), TurnRow.kind == TurnKind.CREATE_SEND.value),
    )
)

# Who opens a turn holds this lock to the end, so that the next one counts it; a later statement sees what was committed
# while an earlier one waited.
_queued = func.pg_advisory_xact_lock(_b("queue", BigInteger()))
_QUEUE_UP: Final = Prepared(select(_queued))

_first_line = _b("first_line", Text())
_RESERVE_SEQ: Final = Prepared(
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
_RUNNING: Final = Prepared(select(*_RUNNING_TURNS))

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
_OPEN: Final = Prepared(_opened)
_OPEN_IN_NEW_CHAT: Final = Prepared(_opened.add_cte(_founded))

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
_OPEN_IN_PLACE: Final = Prepared(_opened.add_cte(_replaced, _hidden))

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
_FINISH: Final = Prepared(
    update(ChatRow)
    .where(OUR_CHAT, exists(select(_ended.c.id)))
    .values(updated_at=func.now())
    .returning(select(func.array_agg(_adjusted.c.period_type)).scalar_subquery().label("short"))
    .add_cte(_ended, _answered, _held, _charged, _entered, _adjusted)
)

_FENCE: Final = Prepared(select(TurnRow.state, TurnRow.owner_epoch, TurnRow.error_code).where(OUR_TURN))

_STORED_ANSWER: Final = (
    select(
        *MESSAGE_COLUMNS,
        TurnRow.chat_id,
        TurnRow.user_message_id,
        TurnRow.selected_model,
        TurnRow.effective_model,
        TurnRow.quota_decision,
        TurnRow.downgrade_reason,
        TurnRow.input_tokens.label("used_input_tokens"),
        TurnRow.output_tokens.label("used_output_tokens"),
        TurnRow.ttft_ms,
        TurnRow.total_ms,
        TurnRow.last_event_id,
    )
    .join(MessageRow, _message_of_turn(MessageRow, TurnRow.assistant_message_id))
    .where(OUR_TURN, TurnRow.state == TurnState.COMPLETED.value, TurnRow.deleted_at.is_(None))
)

# Turns that ended before it was kept are told as most of their kind were.
_was_retryable = func.coalesce(TurnRow.retryable, TurnRow.state == TurnState.FAILED.value)
_FAILURE: Final = (
    select(
        MessageRow.content,
        MessageRow.citations,
        _was_retryable.label("was_retryable"),
        TurnRow.retry_after_ms,
        TurnRow.last_event_id,
    )
    .outerjoin(MessageRow, _message_of_turn(MessageRow, TurnRow.assistant_message_id))
    .where(OUR_TURN, TurnRow.state.in_((TurnState.FAILED.value, TurnState.CANCELLED.value)))
)

_saved_text = (
    select(
        func.string_agg(
            TurnPartRow.body,
            aggregate_order_by(literal_column("''"), TurnPartRow.owner_epoch, TurnPartRow.part_no),
        )
    )
    .where(TurnPartRow.tenant_id == TurnRow.tenant_id, TurnPartRow.turn_id == TurnRow.id)
    .scalar_subquery()
)
_REMAINS: Final = select(
    _saved_text.label("text"),
    TurnRow.provider_started_at.is_not(None).label("was_called"),
    TurnRow.reserved_micro,
    TurnRow.tier,
    TurnRow.in_mult_micro,
    TurnRow.out_mult_micro,
    TurnRow.est_input_tokens,
    TurnRow.max_output_tokens,
    TurnRow.generation_floor,
    TurnRow.period_day,
    TurnRow.period_month,
    TurnRow.tenant_bucket,
    TurnRow.web_search_held,
    TurnRow.code_interpreter_held,
    TurnRow.policy_version,
    TurnRow.chat_id,
    TurnRow.request_id,
    TurnRow.trace_id,
    TurnRow.selected_model,
    TurnRow.effective_model,
    TurnRow.provider_id,
    TurnRow.quota_decision,
    TurnRow.downgrade_reason,
).where(OUR_TURN)

# Without waiting for the disk: should the server die within the second, the turn is released instead of charged.
_MARK_CALLED: Final = Prepared(
    update(TurnRow)
    .where(OUR_TURN, TurnRow.state == TurnState.RUNNING.value, TurnRow.owner_epoch == _b("epoch"))
    .values(
        provider_started_at=case(
            (TurnRow.cancel_requested_at.is_(None), func.coalesce(TurnRow.provider_started_at, func.now())),
            else_=TurnRow.provider_started_at,
        )
    )
    .returning(
        TurnRow.cancel_requested_at.is_not(None).label("is_cancelled"),
        TurnRow.cancel_reason,
        func.set_config("synchronous_commit", "off", True),
    )
)

# The name of the model that should have answered stays: the ledger's first entry was made in it.
_MARK_CALLED_INSTEAD: Final = Prepared(
    update(TurnRow)
    .where(
        OUR_TURN,
        TurnRow.state == TurnState.RUNNING.value,
        TurnRow.owner_epoch == _b("epoch"),
        TurnRow.cancel_requested_at.is_(None),
    )
    .values(
        went_over_from=func.coalesce(TurnRow.went_over_from, TurnRow.effective_model),
        **{
            name: _b(name)
            for name in (
                "effective_model",
                "provider_id",
                "max_output_tokens",
                "in_mult_micro",
                "out_mult_micro",
                "est_input_tokens",
                "generation_floor",
            )
        },
    )
    .returning(TurnRow.id, func.set_config("synchronous_commit", "off", True))
)


class PostgresTurns:
    """Fills the port Turns."""

    def __init__(self, connection: AsyncConnection, scope: AccessScope) -> None:
        self._connection = connection
        self._scope = scope
        self._ours: Mapping[str, object] = {"tenant_id": scope.tenant_id, "user_id": scope.user_id}

    @property
    def _queue(self) -> int:
        """The number of this user's lock. Should two users ever share one, they only wait for each other."""
        names = self._scope.tenant_id.bytes + self._scope.user_id.bytes
        return int.from_bytes(blake2b(names, digest_size=8).digest(), signed=True)

    async def gate(self, chat_id: ChatId, request_id: RequestId) -> Gate | None:
        row = await self._one(_GATE, chat_id=chat_id, request_id=request_id)
        if row is None:
            return None
        return Gate(
            chat_id=chat_id,
            model=row["model"],
            revision=row["revision"],
            same_request=None if row["id"] is None else _summary(row, chat_id, request_id),
            running_request_id=row["running_request_id"],
            standing=standing_of(row),
            is_untitled=row["is_untitled"],
            awaits_title=row["awaits_title"],
        )

    async def founding(self, request_id: RequestId) -> Founding:
        row = await self._one(_FOUNDING, request_id=request_id)
        assert row is not None  # noqa: S101 - the left side of the join is always there
        created = None if row["id"] is None else _summary(row, ChatId(row["chat_id"]), request_id)
        return Founding(created=created, standing=standing_of(row))

    async def history(self, chat_id: ChatId, newest: int, max_bytes: int, without: TurnId | None = None) -> History:
        bounds = {"chat_id": chat_id, "newest": newest, "max_bytes": max_bytes, "without": without}
        rows = await HISTORY.all(driver_of(self._connection), _bound({**self._ours, **bounds}))
        return history_of(rows)

    async def reserve_seq(self, chat_id: ChatId, revision: int, first_line: str | None = None) -> int | None:
        values = {"chat_id": chat_id, "seen_revision": revision, "first_line": first_line, "queue": self._queue}
        row = await self._one(_RESERVE_SEQ, **values)
        return None if row is None else row["last_seq"] - _MESSAGES_PER_TURN + 1

    async def queue_up(self) -> None:
        await self._one(_QUEUE_UP, queue=self._queue)

    async def running(self) -> RunningTurns:
        return _running_turns(await self._one(_RUNNING))

    async def open(self, turn: NewTurn, user_seq: int, lease: timedelta) -> RunningTurns:
        return _running_turns(await self._one(_OPEN, **_opening(turn, user_seq, lease)))

    async def open_in_new_chat(self, turn: NewTurn, chat: NewChat, lease: timedelta) -> RunningTurns:
        opened = await self._one(
            _OPEN_IN_NEW_CHAT,
            **_opening(turn, _FIRST_SEQ, lease),
            title=chat.title or chat.first_line,
            title_source=_title_source(chat),
            is_temporary=chat.is_temporary,
            chat_metadata=json_text(chat.metadata),
        )
        return _running_turns(opened)

    async def open_in_place_of(self, old: TurnId, turn: NewTurn, user_seq: int, lease: timedelta) -> RunningTurns:
        opened = await self._one(_OPEN_IN_PLACE, **_opening(turn, user_seq, lease), old_turn_id=old)
        return _running_turns(opened)

    async def finish(
        self, turn_id: TurnId, chat_id: ChatId, epoch: int, result: TurnResult
    ) -> tuple[PeriodType, ...] | None:
        finished = await self._one(_FINISH, turn_id=turn_id, chat_id=chat_id, epoch=epoch, **_ending(result))
        return None if finished is None else tuple(map(PeriodType, finished["short"] or ()))

    async def fence(self, turn_id: TurnId) -> Fence | None:
        row = await self._one(_FENCE, turn_id=turn_id)
        if row is None:
            return None
        return Fence(state=TurnState(row["state"]), owner_epoch=row["owner_epoch"], error_code=row["error_code"])

    async def answer(self, turn_id: TurnId) -> StoredAnswer | None:
        row = (await self._run(_STORED_ANSWER, turn_id=turn_id)).one_or_none()
        return None if row is None else _stored_answer(row)

    async def failure(self, turn_id: TurnId) -> StoredFailure | None:
        row = (await self._run(_FAILURE, turn_id=turn_id)).one_or_none()
        if row is None:
            return None
        return StoredFailure(
            text=row.content or "",
            citations=msgspec.convert(row.citations or (), tuple[Citation, ...]),
            retryable=row.was_retryable,
            retry_after_ms=row.retry_after_ms,
            last_number=row.last_event_id,
        )

    async def mark_called(self, turn_id: TurnId, epoch: int) -> StopReason | None:
        row = await self._one(_MARK_CALLED, turn_id=turn_id, epoch=epoch)
        if row is None:
            return StopReason.LEASE_LOST
        return reason_of(row["cancel_reason"]) if row["is_cancelled"] else None

    async def mark_called_instead(self, brief: TurnBrief) -> StopReason | None:
        changed = await self._one(
            _MARK_CALLED_INSTEAD, turn_id=brief.turn_id, epoch=brief.epoch, **_model_of(brief), **_prices_of(brief.hold)
        )
        if changed is not None:
            return None
        return await self.mark_called(brief.turn_id, brief.epoch) or StopReason.LEASE_LOST

    async def remains(self, turn_id: TurnId) -> Remains:
        row = (await self._run(_REMAINS, turn_id=turn_id)).one()
        turn = TurnIdentity(
            turn_id=turn_id,
            chat_id=ChatId(row.chat_id),
            request_id=RequestId(row.request_id),
            scope=self._scope,
            trace_id=row.trace_id,
            selected_model=row.selected_model,
            effective_model=row.effective_model,
            provider_id=row.provider_id,
            quota_decision=row.quota_decision,
            downgrade_reason=row.downgrade_reason,
            hold=None if row.reserved_micro is None else _hold(row),
        )
        return Remains(turn=turn, text=row.text or "", was_called=row.was_called)

    async def _one(self, statement: Prepared, **values: object) -> asyncpg.Record | None:
        return await statement.one(driver_of(self._connection), _bound({**self._ours, **values}))

    async def _run(self, statement: Executable, **values: object) -> CursorResult[*tuple[Any, ...]]:
        return await self._connection.execute(statement, _bound({**self._ours, **values}))


def _running_turns(row: asyncpg.Record | None) -> RunningTurns:
    assert row is not None  # noqa: S101 - a count is always told
    return RunningTurns(of_user=row["of_user"], of_tenant=row["of_tenant"])


def _title_source(chat: NewChat) -> str | None:
    if chat.title is not None:
        return USERS_OWN
    return None if chat.first_line is None else FIRST_LINE


def _opening(turn: NewTurn, user_seq: int, lease: timedelta) -> dict[str, object]:
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
        **_model_of(brief),
        "quota_decision": resolution.decision,
        "downgrade_reason": resolution.downgrade_reason,
        **_prices_of(hold),
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


def _model_of(brief: TurnBrief) -> dict[str, object]:
    model = brief.resolution.effective
    return {"effective_model": model.id, "provider_id": model.provider_id}


def _prices_of(hold: Hold) -> dict[str, object]:
    """What an answer is priced by."""
    return {
        "max_output_tokens": hold.max_output_tokens,
        "in_mult_micro": hold.prices.input_multiplier_micro,
        "out_mult_micro": hold.prices.output_multiplier_micro,
        "est_input_tokens": hold.estimated_input_tokens,
        "generation_floor": hold.generation_floor,
    }


def _ending(result: TurnResult) -> dict[str, object]:
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


def _hold(row: Row[*tuple[Any, ...]]) -> Hold:
    return Hold(
        credits_micro=row.reserved_micro,
        tier=Tier(row.tier),
        prices=Prices(input_multiplier_micro=row.in_mult_micro, output_multiplier_micro=row.out_mult_micro),
        estimated_input_tokens=row.est_input_tokens,
        max_output_tokens=row.max_output_tokens,
        generation_floor=row.generation_floor,
        day=row.period_day,
        month=row.period_month,
        in_tenant_buckets=row.tenant_bucket,
        policy_version=row.policy_version,
        tool_calls=ToolCalls(web_search=row.web_search_held, code_interpreter=row.code_interpreter_held),
    )


def _summary(row: asyncpg.Record, chat_id: ChatId, request_id: RequestId) -> TurnSummary:
    return TurnSummary(
        id=TurnId(row["id"]),
        chat_id=chat_id,
        request_id=request_id,
        state=TurnState(row["state"]),
        fingerprint=row["body_fingerprint"],
        is_deleted=row["deleted_at"] is not None,
    )


def _stored_answer(row: Row[*tuple[Any, ...]]) -> StoredAnswer:
    message = message_of(row)
    return StoredAnswer(
        request_id=message.request_id,
        chat_id=ChatId(row.chat_id),
        user_message_id=MessageId(row.user_message_id),
        message=message,
        selected_model=row.selected_model,
        effective_model=row.effective_model,
        quota_decision=row.quota_decision,
        downgrade_reason=row.downgrade_reason,
        finish=message.finish_reason or Finish.STOP,
        input_tokens=row.used_input_tokens,
        output_tokens=row.used_output_tokens,
        ttft_ms=row.ttft_ms,
        total_ms=row.total_ms,
        last_number=row.last_event_id,
    )
