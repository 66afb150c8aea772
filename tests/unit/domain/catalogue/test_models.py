import msgspec
import pytest

from domain.catalogue.models import MOST_TOKENS, ModelSpec


@pytest.mark.parametrize("member", ["context_window", "max_input_tokens", "max_output_tokens"])
def test_a_model_takes_and_gives_no_more_tokens_than_credits_are_computed_for(member: str) -> None:
    entry = {"id": "a", "provider_id": "scripted", "provider_model_id": "mock", member: MOST_TOKENS}
    assert getattr(msgspec.convert(entry, ModelSpec), member) == MOST_TOKENS
    with pytest.raises(msgspec.ValidationError, match=member):
        msgspec.convert(entry | {member: MOST_TOKENS + 1}, ModelSpec)
