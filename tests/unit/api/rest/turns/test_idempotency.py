"""A key in a header is a UUID as everybody writes it, or it is refused."""

from uuid import UUID

import pytest
from litestar.datastructures import Headers

from api.rest.turns.idempotency import idempotency_key
from domain.errors import InvalidRequest

KEY = UUID("0198c0de-79f0-7a01-9d00-1b2c3d4e5f60")


@pytest.mark.parametrize("text", [str(KEY), str(KEY).upper(), f'"{KEY}"', f" {KEY} "])
def test_bare_or_quoted_in_either_case_it_is_the_same_key(text: str) -> None:
    assert idempotency_key(Headers({"Idempotency-Key": text})) == KEY


@pytest.mark.parametrize("text", ["", KEY.hex, f"urn:uuid:{KEY}", f"{{{KEY}}}", f'"{KEY}', f'{KEY}"', f"{KEY}0"])
def test_every_other_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        idempotency_key(Headers({"Idempotency-Key": text}))


def test_without_the_header_there_is_no_key() -> None:
    assert idempotency_key(Headers({})) is None
