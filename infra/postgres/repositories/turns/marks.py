"""The marks that a provider is about to be called, by the model that was chosen and by the one in its place."""

from typing import Final

from sqlalchemy import and_, case, func, null, update

from domain.turns.models import TurnState
from infra.postgres.orm.turn import TurnRow
from infra.postgres.prepared import Prepared
from infra.postgres.repositories.bound import OUR_TURN
from infra.postgres.repositories.bound import bound as _b

_still_owned = and_(OUR_TURN, TurnRow.state == TurnState.RUNNING.value, TurnRow.owner_epoch == _b("epoch"))
_model_and_prices = {
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
}

# Without waiting for the disk: should the server die within the second, the turn is released instead of charged.
MARK_CALLED: Final = Prepared(
    update(TurnRow)
    .where(_still_owned)
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

# The name of the model that should have answered stays: the ledger's first entry was made in it. Unlike the mark this
# waits for the disk: should it be lost, the answer of the one model would be entered at the prices of the other.
MARK_CALLED_INSTEAD: Final = Prepared(
    update(TurnRow)
    .where(_still_owned, TurnRow.cancel_requested_at.is_(None))
    .values(went_over_from=func.coalesce(TurnRow.went_over_from, TurnRow.effective_model), **_model_and_prices)
    .returning(TurnRow.id)
)

STAY_WITH: Final = Prepared(
    update(TurnRow)
    .where(_still_owned, TurnRow.went_over_from.is_not(None))
    .values(went_over_from=null(), **_model_and_prices)
    .returning(TurnRow.id)
)
