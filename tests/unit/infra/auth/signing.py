"""An identity provider's side: keys, the documents that publish them, and tokens signed at will."""

import base64
import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

ISSUER = "https://id.example.com"
AUDIENCE = "mini-chat"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def claims(**changes: object) -> dict[str, object]:
    """Valid claims; a change to None leaves the claim out."""
    now = int(time.time())
    basis: dict[str, object] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "exp": now + 60,
        "iat": now,
        "sub": "alice",
        "tenant_id": "acme",
        "features": ["ai_chat"],
    }
    return {name: value for name, value in (basis | changes).items() if value is not None}


def signed(
    key: Any = RSA_KEY, algorithm: str = "RS256", headers: dict[str, object] | None = None, **changes: object
) -> str:
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers={"kid": "rsa-1"} | (headers or {}))


def unsigned(header: object, payload: object, signature: bytes = b"") -> str:
    """A token as somebody without any key would write it."""
    parts = [json.dumps(header).encode(), json.dumps(payload).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def jwk(key: PrivateKey, **members: object) -> dict[str, object]:
    algorithm = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return {**json.loads(algorithm.to_jwk(key.public_key())), **members}  # type: ignore[arg-type]


def private_jwk(key: rsa.RSAPrivateKey, **members: object) -> dict[str, object]:
    return {**json.loads(RSAAlgorithm.to_jwk(key)), **members}


def jwk_set(*keys: dict[str, object]) -> bytes:
    return json.dumps({"keys": list(keys)}).encode()


def pem(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


PUBLISHED = jwk_set(jwk(RSA_KEY, kid="rsa-1", use="sig"), jwk(EC_KEY, kid="ec-1", use="sig"))
