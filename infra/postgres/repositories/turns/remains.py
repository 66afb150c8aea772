"""What a lost owner leaves of its turn."""

from typing import Any, Final

from sqlalchemy import (
    Row,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by

from domain.catalogue.models import Tier
from domain.ids import ChatId, RequestId, TurnId
from domain.quotas.credits import Prices
from domain.quotas.models import Hold
from domain.scope import AccessScope
from domain.tools.calls import ToolCalls
from domain.turns.models import (
    Remains,
    TurnIdentity,
)
from infra.postgres.orm.turn import TurnRow
from infra.postgres.orm.turn_part import TurnPartRow
from infra.postgres.repositories.bound import OUR_TURN

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
REMAINS: Final = select(
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


def remains_of(row: Row[*tuple[Any, ...]], turn_id: TurnId, scope: AccessScope) -> Remains:
    turn = TurnIdentity(
        turn_id=turn_id,
        chat_id=ChatId(row.chat_id),
        request_id=RequestId(row.request_id),
        scope=scope,
        trace_id=row.trace_id,
        selected_model=row.selected_model,
        effective_model=row.effective_model,
        provider_id=row.provider_id,
        quota_decision=row.quota_decision,
        downgrade_reason=row.downgrade_reason,
        hold=None if row.reserved_micro is None else _hold(row),
    )
    return Remains(turn=turn, text=row.text or "", was_called=row.was_called)


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
