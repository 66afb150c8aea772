from datetime import UTC, datetime, timedelta

import jwt
import pytest

from domain.errors import Unauthorized
from domain.subject import AuthMethod
from infra.auth.dev import DevVerifier, dev_principal, issue_dev_token
from infra.auth.principals import tenant_id_for, user_id_for
from tests.unit.infra.auth.signing import RSA_KEY, claims, unsigned

SECRET = bytes(range(32))


@pytest.fixture
def verifier() -> DevVerifier:
    return DevVerifier(SECRET)


def token(
    secret: bytes = SECRET,
    tenant: str = "acme",
    user: str = "alice",
    roles: tuple[str, ...] = ("user",),
    ttl_s: float = 60,
) -> str:
    return issue_dev_token(
        secret, tenant=tenant, user=user, roles=roles, ttl=timedelta(seconds=ttl_s), now=datetime.now(UTC)
    )


async def test_a_call_without_credential_is_the_fixed_principal(verifier: DevVerifier) -> None:
    subject = await verifier.verify(None)
    assert subject == dev_principal()
    assert subject.roles == {"user"}
    assert subject.features == {"ai_chat"}
    assert subject.auth_method is AuthMethod.DEV


async def test_an_issued_token_is_its_bearer(verifier: DevVerifier) -> None:
    subject = await verifier.verify(token(roles=("user", "admin")))
    assert subject.tenant_id == tenant_id_for("acme")
    assert subject.user_id == user_id_for(tenant_id_for("acme"), "alice")
    assert subject.roles == {"user", "admin"}
    assert subject.features == {"ai_chat"}


async def test_a_token_can_name_the_fixed_principal(verifier: DevVerifier) -> None:
    named, fixed = await verifier.verify(token(tenant="dev", user="dev")), dev_principal()
    assert (named.tenant_id, named.user_id) == (fixed.tenant_id, fixed.user_id)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "nonsense",
        token(secret=bytes(32)),
        token(ttl_s=-1),
        unsigned({"alg": "none"}, claims(iss="mini-chat-dev", aud="mini-chat-dev")),
        jwt.encode(claims(iss="mini-chat-dev", aud="mini-chat-dev"), RSA_KEY, algorithm="RS256"),
        jwt.encode(claims(aud="mini-chat-dev"), SECRET, algorithm="HS256"),
        jwt.encode(claims(iss="mini-chat-dev"), SECRET, algorithm="HS256"),
        jwt.encode(claims(iss="mini-chat-dev", aud="mini-chat-dev", exp=None), SECRET, algorithm="HS256"),
        jwt.encode(claims(iss="mini-chat-dev", aud="mini-chat-dev", tenant_id=None), SECRET, algorithm="HS256"),
    ],
)
async def test_a_bad_token_is_refused_even_though_none_is_needed(verifier: DevVerifier, bad: str) -> None:
    with pytest.raises(Unauthorized) as refused:
        await verifier.verify(bad)
    assert refused.value.presented


@pytest.mark.parametrize(("tenant", "user"), [("", "alice"), ("acme", " "), ("x" * 257, "alice")])
def test_no_token_is_issued_for_a_name_nobody_can_bear(tenant: str, user: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the type is the promise
        token(tenant=tenant, user=user)
