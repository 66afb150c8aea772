import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from infra.auth.keys import UnreadableKeys, read_key_ring
from tests.unit.infra.auth.signing import EC_KEY, OTHER_RSA_KEY, RSA_KEY, jwk, jwk_set, pem, private_jwk


def test_a_key_is_found_by_its_id_and_algorithm() -> None:
    ring = read_key_ring(jwk_set(jwk(RSA_KEY, kid="a"), jwk(EC_KEY, kid="b")))
    assert ring.find("a", "RS256") == RSA_KEY.public_key()
    assert ring.find("b", "ES256") == EC_KEY.public_key()
    assert ring.find("a", "ES256") is None
    assert ring.find("b", "ES384") is None
    assert ring.find("c", "RS256") is None


def test_a_token_without_key_id_needs_a_single_candidate() -> None:
    assert read_key_ring(jwk_set(jwk(RSA_KEY, kid="a"), jwk(EC_KEY, kid="b"))).find(None, "RS256") is not None
    assert read_key_ring(jwk_set(jwk(RSA_KEY, kid="a"), jwk(OTHER_RSA_KEY, kid="b"))).find(None, "RS256") is None


def test_two_keys_of_one_id_are_none() -> None:
    assert read_key_ring(jwk_set(jwk(RSA_KEY, kid="a"), jwk(OTHER_RSA_KEY, kid="a"))).find("a", "RS256") is None


def test_a_published_algorithm_narrows_what_the_key_may_do() -> None:
    ring = read_key_ring(jwk_set(jwk(RSA_KEY, kid="a", alg="RS512")))
    assert ring.find("a", "RS512") is not None
    assert ring.find("a", "RS256") is None


def test_a_pem_key_serves_every_key_id() -> None:
    assert read_key_ring(pem(EC_KEY)).find("whatever", "ES256") == EC_KEY.public_key()


@pytest.mark.parametrize(
    "entry",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "a"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "a", "alg": "RS256"},
        jwk(RSA_KEY, kid="a", use="enc"),
        jwk(RSA_KEY, kid="a", alg="ES256"),
        jwk(RSA_KEY, kid=7),
        private_jwk(RSA_KEY, kid="a"),
        jwk(rsa.generate_private_key(public_exponent=65537, key_size=1024), kid="a"),  # noqa: S505 - the point
        jwk(ec.generate_private_key(ec.SECP256K1()), kid="a"),
        {"kty": "RSA", "n": 1, "e": "AQAB", "kid": "a"},
        {"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ", "kid": "a"},
        {"kty": ["RSA"], "kid": "a"},
        {},
    ],
)
def test_an_unsuitable_key_is_left_out(entry: dict[str, object]) -> None:
    with pytest.raises(UnreadableKeys):
        read_key_ring(jwk_set(entry))
    assert len(read_key_ring(jwk_set(entry, jwk(EC_KEY, kid="good"))).keys) == 1


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<!doctype html><html></html>",
        b"{}",
        b'{"keys": 1}',
        b'{"keys": ["x"]}',
        b"\xff\xfe",
        b'{"keys":' + b"[" * 100_000,
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
        RSA_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        jwk_set(*[jwk(EC_KEY, kid=str(number)) for number in range(101)]),
    ],
)
def test_what_is_no_key_document_is_refused(document: bytes) -> None:
    with pytest.raises(UnreadableKeys):
        read_key_ring(document)
