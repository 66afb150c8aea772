import pytest

from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.events import Finish
from infra.providers.remote_error import RemoteError, read_error, verdict


def kind(error: RemoteError, status: int | None) -> FailureKind:
    ending = verdict(error, status)
    assert isinstance(ending, ProviderFailure)
    return ending.kind


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (204, FailureKind.BAD_RESPONSE),
        (302, FailureKind.BAD_RESPONSE),
        (400, FailureKind.REJECTED),
        (401, FailureKind.AUTH),
        (402, FailureKind.ACCOUNT_EXHAUSTED),
        (403, FailureKind.AUTH),
        (404, FailureKind.REJECTED),
        (408, FailureKind.TIMEOUT),
        (413, FailureKind.REJECTED),
        (422, FailureKind.REJECTED),
        (425, FailureKind.RATE_LIMITED),
        (429, FailureKind.RATE_LIMITED),
        (500, FailureKind.SERVER_ERROR),
        (502, FailureKind.SERVER_ERROR),
        (503, FailureKind.OVERLOADED),
        (504, FailureKind.TIMEOUT),
        (524, FailureKind.TIMEOUT),
        (529, FailureKind.OVERLOADED),
    ],
)
def test_a_status_alone_is_judged(status: int, expected: FailureKind) -> None:
    assert kind(RemoteError(), status) is expected


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        ({"error": {"code": "context_length_exceeded"}}, 400, FailureKind.CONTEXT_LENGTH),
        (
            {"error": {"message": "This model's maximum context length is 4096 tokens."}},
            400,
            FailureKind.CONTEXT_LENGTH,
        ),
        ({"error": {"message": "This model's maximum context length is 4096 tokens."}}, 500, FailureKind.SERVER_ERROR),
        ({"error": {"code": "insufficient_quota", "type": "x"}}, 429, FailureKind.ACCOUNT_EXHAUSTED),
        ({"error": {"code": None, "type": "rate_limit_error"}}, 400, FailureKind.RATE_LIMITED),
        ({"type": "error", "error": {"type": "overloaded_error"}}, 529, FailureKind.OVERLOADED),
        ({"error": {"type": "server_error"}}, 503, FailureKind.OVERLOADED),
        ({"error": {"type": "api_error"}}, 404, FailureKind.REJECTED),
        ({"error": "the prompt is too long"}, 413, FailureKind.CONTEXT_LENGTH),
        ({"error": {"message": "input length and `max_tokens` exceed context limit"}}, 400, FailureKind.CONTEXT_LENGTH),
        ({"error": {"code": 400, "type": "exceed_context_size_error"}}, 400, FailureKind.CONTEXT_LENGTH),
        (
            {"error": {"code": "server_is_overloaded", "type": "service_unavailable_error"}},
            None,
            FailureKind.OVERLOADED,
        ),
        ({"error": {"code": 409}}, 409, FailureKind.REJECTED),
        ({"code": "invalid_api_key", "message": "no"}, 400, FailureKind.AUTH),
        ({"detail": [{"loc": ["body"]}]}, 422, FailureKind.REJECTED),
        ({"error": {"code": 429}}, None, FailureKind.RATE_LIMITED),
        ({"error": {"code": 7}}, None, FailureKind.SERVER_ERROR),
    ],
)
def test_codes_and_types_refine_the_status(body: object, status: int | None, expected: FailureKind) -> None:
    error = read_error(body)
    assert error is not None
    assert kind(error, status) is expected


@pytest.mark.parametrize("body", [{}, [], 5, None, {"error": None}, {"choices": []}])
def test_a_body_without_an_error_is_none(body: object) -> None:
    assert read_error(body) is None


@pytest.mark.parametrize(
    "members",
    [
        {"code": "content_filter"},
        {"type": "content_policy_violation"},
        {"code": "x", "innererror": {"code": "ResponsibleAIPolicyViolation"}},
    ],
)
def test_a_filtered_prompt_ends_the_call_without_failure(members: dict[str, object]) -> None:
    error = read_error({"error": members})
    assert error is not None
    assert verdict(error, 400) is Finish.CONTENT_FILTER


@pytest.mark.parametrize(("status", "hint"), [(429, 2_000), (503, 2_000), (500, None), (401, None)])
def test_only_throttling_and_overload_carry_a_hint(status: int, hint: int | None) -> None:
    ending = verdict(RemoteError(), status, 2_000)
    assert isinstance(ending, ProviderFailure)
    assert ending.retry_after_ms == hint


def test_the_detail_holds_machine_words_and_nothing_a_remote_wrote_freely() -> None:
    error = read_error(
        {
            "error": {
                "message": "the user said: my password is hunter2, see https://gpu.internal/x, key sk-abc123",
                "type": "invalid_request_error",
                "code": "resp_0123abc",
                "param": "gpu.internal",
            }
        }
    )
    assert error is not None
    ending = verdict(error, 400)
    assert isinstance(ending, ProviderFailure)
    assert ending.detail == "status 400 invalid_request_error"
