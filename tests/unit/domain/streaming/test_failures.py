import re
from datetime import timedelta

import pytest

from domain.errors import Kind
from domain.providers.errors import VERDICTS
from domain.streaming.failures import KINDS, SENTENCES, TurnEnded, turn_error


def test_every_code_has_one_sentence_and_one_status() -> None:
    assert KINDS.keys() == SENTENCES.keys()
    assert {verdict.code for verdict in VERDICTS.values()} <= SENTENCES.keys()


@pytest.mark.parametrize("sentence", SENTENCES.values())
def test_sentences_are_for_people(sentence: str) -> None:
    assert re.fullmatch(r"[A-Z][a-z ,]+\.", sentence)


def test_an_unknown_code_shows_as_our_own_fault() -> None:
    error = turn_error("no_such_code", "0" * 32, retryable=True)
    assert (error.code, error.message) == ("internal_error", SENTENCES["internal_error"])


@pytest.mark.parametrize("code", SENTENCES)
def test_a_unary_send_reports_the_code_of_its_turn(code: str) -> None:
    error = turn_error(code, "0" * 32, retryable=True, retry_after_ms=1500)
    ended = TurnEnded(error, request_id="r", chat_id="c")
    assert (ended.code, ended.kind, ended.members) == (code, KINDS[code], {"request_id": "r", "chat_id": "c"})
    assert ended.retry_after == timedelta(milliseconds=1500)


STATUSES = {
    "web_search_calls_exceeded": Kind.INVALID,
    "code_interpreter_calls_exceeded": Kind.INVALID,
    "turn_cancelled": Kind.CONFLICT,
    "context_budget_exceeded": Kind.MISMATCH,
    "rate_limited": Kind.RATE_LIMITED,
    "internal_error": Kind.INTERNAL,
    "orphan_timeout": Kind.INTERNAL,
    "provider_error": Kind.UPSTREAM,
    "stream_interrupted": Kind.UPSTREAM,
    "provider_unavailable": Kind.UNAVAILABLE,
    "generation_disabled": Kind.UNAVAILABLE,
    "server_shutdown": Kind.UNAVAILABLE,
    "provider_timeout": Kind.UPSTREAM_TIMEOUT,
    "turn_timeout": Kind.UPSTREAM_TIMEOUT,
}


def test_statuses_are_those_of_the_code_table() -> None:
    """api.md 1.7, rows whose column "stream" says yes."""
    assert dict(KINDS) == STATUSES
