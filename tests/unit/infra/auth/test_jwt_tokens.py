import hashlib
import hmac
import logging
import time
from datetime import timedelta
from typing import Any

import pytest

from domain.clock import SystemClock
from domain.errors import ServiceUnavailable, Unauthorized
from domain.subject import AuthMethod
from infra.auth.claims import ClaimNames
from infra.auth.jwt_tokens import JwtVerifier
from infra.auth.key_cache import CachePolicy, KeyCache
from infra.auth.keys import KeyRing, read_key_ring
from infra.auth.principals import tenant_id_for, user_id_for
from infra.auth.token_check import MAX_TOKEN_CHARS, Expected
from tests.unit.infra.auth.signing import (
    AUDIENCE,
    EC_KEY,
    ISSUER,
    OTHER_RSA_KEY,
    PUBLISHED,
    RSA_KEY,
    claims,
    jwk,
    pem,
    signed,
    unsigned,
)


class Issuer:
    def __init__(self) -> None:
        self.document: bytes | None = PUBLISHED
        self.fetches = 0

    async def load(self) -> KeyRing | None:
        self.fetches += 1
        return read_key_ring(self.document) if self.document else None


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def verifier(issuer: Issuer) -> JwtVerifier:
    return JwtVerifier(
        KeyCache(issuer.load, SystemClock(), CachePolicy()),
        Expected(issuer=ISSUER, audiences=(AUDIENCE,), leeway=timedelta(seconds=10)),
        frozenset({"RS256", "ES256"}),
        ClaimNames(),
    )


async def refusal(verifier: JwtVerifier, token: str | None, caplog: pytest.LogCaptureFixture) -> str:
    """The reason logged for a refused token, which itself must not be in the log."""
    caplog.clear()
    with caplog.at_level(logging.INFO), pytest.raises(Unauthorized) as refused:
        await verifier.verify(token)
    assert refused.value.presented is (token is not None)
    assert len(token or "") < 20 or str(token) not in caplog.text
    (record,) = caplog.records
    reason: str = vars(record)["reason"]
    return reason


async def test_a_token_becomes_its_subject(verifier: JwtVerifier) -> None:
    subject = await verifier.verify(signed(roles=["admin", "user"]))
    assert subject.tenant_id == tenant_id_for("acme")
    assert subject.user_id == user_id_for(subject.tenant_id, "alice")
    assert subject.roles == {"admin", "user"}
    assert subject.features == {"ai_chat"}
    assert subject.auth_method is AuthMethod.JWT
    assert subject.expires_at is not None
    assert 0 < subject.expires_at.timestamp() - time.time() <= 60


async def test_an_elliptic_key_signs_as_well(verifier: JwtVerifier) -> None:
    await verifier.verify(signed(EC_KEY, "ES256", {"kid": "ec-1"}))


async def test_a_call_without_credential_is_refused(verifier: JwtVerifier, caplog: pytest.LogCaptureFixture) -> None:
    assert await refusal(verifier, None, caplog) == "missing"


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE"])
@pytest.mark.parametrize("signature", [b"", b"x"])
async def test_an_unsigned_token_is_refused(
    verifier: JwtVerifier, caplog: pytest.LogCaptureFixture, algorithm: str, signature: bytes
) -> None:
    token = unsigned({"alg": algorithm, "kid": "rsa-1"}, claims(), signature)
    assert await refusal(verifier, token, caplog) == "algorithm"


async def test_the_public_key_is_no_shared_secret(verifier: JwtVerifier, caplog: pytest.LogCaptureFixture) -> None:
    head = unsigned({"alg": "HS256", "kid": "rsa-1", "typ": "JWT"}, claims()).rstrip(".")
    forged = unsigned(
        {"alg": "HS256", "kid": "rsa-1", "typ": "JWT"},
        claims(),
        hmac.digest(pem(RSA_KEY), head.encode(), hashlib.sha256),
    )
    assert await refusal(verifier, forged, caplog) == "algorithm"


def test_shared_secrets_cannot_be_configured(issuer: Issuer) -> None:
    keys = KeyCache(issuer.load, SystemClock(), CachePolicy())
    with pytest.raises(ValueError, match="shared secret"):
        JwtVerifier(keys, Expected(issuer=ISSUER, audiences=(AUDIENCE,)), frozenset({"HS256"}), ClaimNames())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"aud": "another-service"}, "audience"),
        ({"aud": ["another-service", "a-third"]}, "audience"),
        ({"aud": None}, "missing_claim"),
        ({"iss": "https://evil.example.com"}, "issuer"),
        ({"iss": ISSUER + "/"}, "issuer"),
        ({"iss": None}, "missing_claim"),
        ({"exp": None}, "missing_claim"),
        ({"exp": int(time.time()) - 11}, "expired"),
        ({"exp": "soon"}, "malformed"),
        ({"nbf": int(time.time()) + 3600}, "not_yet_valid"),
        ({"iat": int(time.time()) + 3600}, "not_yet_valid"),
        ({"tenant_id": None}, "tenant_claim"),
        ({"tenant_id": ""}, "tenant_claim"),
        ({"tenant_id": "  "}, "tenant_claim"),
        ({"tenant_id": 7}, "tenant_claim"),
        ({"tenant_id": ["acme"]}, "tenant_claim"),
        ({"tenant_id": "00000000-0000-0000-0000-000000000000"}, "tenant_claim"),
        ({"tenant_id": "\ud800"}, "tenant_claim"),
        ({"tenant_id": "x" * 257}, "tenant_claim"),
        ({"sub": None}, "subject_claim"),
        ({"sub": ""}, "subject_claim"),
        ({"roles": {"admin": True}}, "grant_claim"),
        ({"roles": [["admin"]]}, "grant_claim"),
        ({"features": 1}, "grant_claim"),
    ],
)
async def test_a_wrong_or_missing_claim_is_refused(
    verifier: JwtVerifier, caplog: pytest.LogCaptureFixture, changes: dict[str, Any], reason: str
) -> None:
    assert await refusal(verifier, signed(**changes), caplog) == reason


async def test_clocks_may_differ_by_the_leeway(verifier: JwtVerifier) -> None:
    now = int(time.time())
    await verifier.verify(signed(exp=now - 5, nbf=now + 5, iat=now + 5))


async def test_no_role_claim_means_user_and_an_empty_one_means_nothing(verifier: JwtVerifier) -> None:
    assert (await verifier.verify(signed())).roles == {"user"}
    assert (await verifier.verify(signed(roles=[]))).roles == frozenset()
    assert (await verifier.verify(signed(roles="viewer user"))).roles == {"viewer", "user"}
    assert (await verifier.verify(signed(features=None))).features == frozenset()


async def test_another_key_of_the_same_type_is_refused(verifier: JwtVerifier, caplog: pytest.LogCaptureFixture) -> None:
    assert await refusal(verifier, signed(OTHER_RSA_KEY), caplog) == "signature"


@pytest.mark.parametrize(("key", "algorithm", "kid"), [(EC_KEY, "ES256", "rsa-1"), (RSA_KEY, "RS256", "ec-1")])
async def test_a_key_verifies_only_what_its_type_is_made_for(
    verifier: JwtVerifier, caplog: pytest.LogCaptureFixture, key: object, algorithm: str, kid: str
) -> None:
    assert await refusal(verifier, signed(key, algorithm, {"kid": kid}), caplog) == "unknown_key"


async def test_an_algorithm_outside_the_allow_list_is_refused(
    verifier: JwtVerifier, caplog: pytest.LogCaptureFixture
) -> None:
    assert await refusal(verifier, signed(algorithm="RS512"), caplog) == "algorithm"


async def test_keys_named_by_the_token_are_not_looked_at(
    verifier: JwtVerifier, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    headers: dict[str, object] = {
        "kid": "mine",
        "jku": "http://127.0.0.1:1/jwks",
        "x5u": "http://127.0.0.1:1/cert",
        "jwk": jwk(OTHER_RSA_KEY, kid="mine"),
        "x5c": ["AAAA"],
    }
    assert await refusal(verifier, signed(OTHER_RSA_KEY, headers=headers), caplog) == "unknown_key"
    assert issuer.fetches == 1
    await verifier.verify(signed(headers={**headers, "kid": "rsa-1"}))


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"crit": ["exp"]}, "malformed"),
        ({"crit": []}, "malformed"),
        ({"crit": ["b64"], "b64": True}, "critical_header"),
        ({"typ": "logout+jwt"}, "token_type"),
        ({"typ": 5}, "token_type"),
        ({"kid": "k" * 257}, "malformed"),
    ],
)
async def test_a_header_that_asks_for_more_is_refused(
    verifier: JwtVerifier, caplog: pytest.LogCaptureFixture, headers: dict[str, object], reason: str
) -> None:
    token = unsigned({"alg": "RS256", "kid": "rsa-1"} | headers, claims(), b"x")
    assert await refusal(verifier, token, caplog) == reason


async def test_access_tokens_by_rfc_9068_are_taken(verifier: JwtVerifier) -> None:
    await verifier.verify(signed(headers={"typ": "at+jwt"}))


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "not a token",
        "\udcff.\udcff.x",
        unsigned([], {}),
        unsigned({"alg": "RS256", "kid": 7}, {}),
        unsigned("{" * 1000, {}),
    ],
)
async def test_what_is_no_token_is_refused(verifier: JwtVerifier, caplog: pytest.LogCaptureFixture, token: str) -> None:
    assert await refusal(verifier, token, caplog) == "malformed"


async def test_a_header_nested_without_end_is_refused(verifier: JwtVerifier, caplog: pytest.LogCaptureFixture) -> None:
    nested: list[object] = []
    for _ in range(900):
        nested = [nested]
    assert await refusal(verifier, unsigned({"alg": nested}, {}), caplog) == "algorithm"


async def test_an_oversize_token_is_refused_unread(verifier: JwtVerifier, caplog: pytest.LogCaptureFixture) -> None:
    assert await refusal(verifier, signed(padding="x" * MAX_TOKEN_CHARS), caplog) == "oversize"


async def test_without_any_keys_the_service_is_unavailable(verifier: JwtVerifier, issuer: Issuer) -> None:
    issuer.document = None
    with pytest.raises(ServiceUnavailable):
        await verifier.verify(signed())


async def test_equal_names_of_two_tenants_are_two_users(verifier: JwtVerifier) -> None:
    one, two = await verifier.verify(signed()), await verifier.verify(signed(tenant_id="globex"))
    assert one.tenant_id != two.tenant_id
    assert one.user_id != two.user_id
