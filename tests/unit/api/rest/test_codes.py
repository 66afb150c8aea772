from http import HTTPStatus
from string import ascii_lowercase

import pytest

from api.rest.codes import ADVICE, CODES, STATUS, Code
from domain.errors import Kind
from domain.streaming.failures import SENTENCES


def test_every_kind_has_a_status() -> None:
    assert set(STATUS) == set(Kind)


def test_every_code_has_advice_of_its_own_and_no_advice_is_left_over() -> None:
    assert set(ADVICE) == set(CODES)


def test_every_code_a_stream_can_end_with_is_explained() -> None:
    assert {code.code for code in CODES.values() if code.on_stream} == set(SENTENCES)


@pytest.mark.parametrize("code", CODES.values(), ids=lambda code: code.code)
def test_a_code_is_a_slug_with_a_status_of_refusal_and_whole_sentences(code: Code) -> None:
    assert set(code.code) <= {*ascii_lowercase, "_"}
    assert HTTPStatus(code.status) >= HTTPStatus.BAD_REQUEST
    assert {code.summary[-1], code.remedy[-1]} == {"."}
