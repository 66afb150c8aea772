"""What a turn is answered by, and what its answer is priced by."""

from domain.quotas.models import Hold
from domain.streaming.ports import TurnBrief


def model_of(brief: TurnBrief) -> dict[str, object]:
    model = brief.resolution.effective
    return {"effective_model": model.id, "provider_id": model.provider_id}


def prices_of(hold: Hold) -> dict[str, object]:
    """What an answer is priced by."""
    return {
        "max_output_tokens": hold.max_output_tokens,
        "in_mult_micro": hold.prices.input_multiplier_micro,
        "out_mult_micro": hold.prices.output_multiplier_micro,
        "est_input_tokens": hold.estimated_input_tokens,
        "generation_floor": hold.generation_floor,
    }
