import pytest

from tests.contract.http.world import MODELS, create_world

FIRST = (
    b'{"model_id":"first","display_name":"first","tier":"premium","multimodal_capabilities":[],"context_window":128000}'
)
SECOND = (
    b'{"model_id":"second","display_name":"second","tier":"standard","description":"Larger.",'
    b'"multimodal_capabilities":[],"context_window":128000}'
)


async def test_enabled_models_are_listed_in_their_order_and_nothing_internal_is_told() -> None:
    answer = await create_world().call("GET", MODELS)
    assert (answer.status, answer.body) == (200, b'{"items":[%s,%s]}' % (FIRST, SECOND))


async def test_one_model_looks_as_it_does_in_the_list() -> None:
    assert (await create_world().call("GET", f"{MODELS}/first")).body == FIRST


@pytest.mark.parametrize("model", ["gone", "unheard-of", "FIRST", "%00", "a:b@c"])
async def test_disabled_and_unknown_models_look_alike(model: str) -> None:
    answer = await create_world().call("GET", f"{MODELS}/{model}")
    assert (answer.status, answer.json()["code"]) == (404, "model_not_found")
