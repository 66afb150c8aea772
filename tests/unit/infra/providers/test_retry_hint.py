import pytest
from multidict import CIMultiDict

from infra.providers.retry_hint import retry_after_ms

DATE = "Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize(
    ("headers", "hint_ms"),
    [
        ({}, None),
        ({"Retry-After": "2"}, 2_000),
        ({"retry-after": "0.5"}, 500),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "0"}, None),
        ({"Retry-After": "99999"}, 3_600_000),
        ({"Retry-After": "1e9"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "9" * 400}, None),
        ({"retry-after-ms": "1500", "Retry-After": "9"}, 1_500),
        ({"retry-after-ms": "x", "Retry-After": "9"}, 9_000),
        ({"Retry-After": "0.001"}, 250),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT", "Date": DATE}, 30_000),
        ({"Retry-After": "Wed, 21 Oct 2026 07:27:00 GMT", "Date": DATE}, None),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT"}, None),
        ({"X-RateLimit-Reset-Requests": "12ms"}, 250),
        ({"x-ratelimit-reset-tokens": "1m3s"}, 63_000),
        ({"x-ratelimit-reset-tokens": "1m3"}, None),
        ({"x-ratelimit-reset-tokens": ""}, None),
        ({"Anthropic-RateLimit-Requests-Reset": "2026-10-21T07:28:07Z", "Date": DATE}, 7_000),
        ({"anthropic-ratelimit-tokens-reset": "2026-10-21T07:28:07Z"}, None),
        ({"anthropic-ratelimit-tokens-reset": "2026-10-21", "Date": DATE}, None),
    ],
)
def test_the_first_usable_hint_counts(headers: dict[str, str], hint_ms: int | None) -> None:
    assert retry_after_ms(CIMultiDict(headers)) == hint_ms
