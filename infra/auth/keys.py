"""The public keys an issuer signs with, each pinned to the algorithms its type is made for.

Because the key decides, a token cannot choose: an RSA key never verifies an HMAC or an elliptic signature.
"""

from collections.abc import Mapping
from typing import TypeAlias

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey

RSA_ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
CURVE_ALGORITHMS: Mapping[str, str] = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
ASYMMETRIC_ALGORITHMS = RSA_ALGORITHMS | frozenset(CURVE_ALGORITHMS.values())

_MIN_RSA_BITS = 2048
_MAX_KEYS = 100


class UnreadableKeys(Exception):
    """A key document that is no key document. The text names the fault and quotes nothing."""


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    kid: str | None
    algorithms: frozenset[str]
    public_key: PublicKey


class KeyRing(msgspec.Struct, frozen=True):
    keys: tuple[SigningKey, ...] = ()

    def find(self, kid: str | None, algorithm: str) -> PublicKey | None:
        """The one key of that id made for that algorithm; a key or a token without an id fits if nothing else does.

        None where several fit: guessing among keys is how a revoked one stays alive.
        """
        fitting = [key for key in self.keys if algorithm in key.algorithms]
        if kid is not None:
            fitting = [key for key in fitting if key.kid == kid] or [key for key in fitting if key.kid is None]
        return fitting[0].public_key if len(fitting) == 1 else None


class _KeySet(msgspec.Struct):
    keys: list[dict[str, object]]


def read_key_ring(document: bytes) -> KeyRing:
    """Reads a JWK set (RFC 7517) or one public key in PEM.

    Keys that cannot verify our signatures (symmetric, private, for encryption, too short, of unknown types)
    are left out. Raises UnreadableKeys when the document is neither, or no usable key is left.
    """
    ring = _from_pem(document) if document.lstrip().startswith(b"-----BEGIN") else _from_jwks(document)
    if not ring.keys:
        raise UnreadableKeys("holds no usable public key")
    return ring


def _from_pem(document: bytes) -> KeyRing:
    try:
        public_key = load_pem_public_key(document.strip())
    except (ValueError, UnsupportedAlgorithm):
        raise UnreadableKeys("is no public key in PEM") from None
    return KeyRing(_usable(None, None, public_key))


def _from_jwks(document: bytes) -> KeyRing:
    try:
        entries = msgspec.json.decode(document, type=_KeySet).keys
    except (msgspec.DecodeError, RecursionError):
        raise UnreadableKeys("is no JWK set") from None
    if len(entries) > _MAX_KEYS:
        raise UnreadableKeys(f"holds more than {_MAX_KEYS} keys")
    return KeyRing(tuple(key for entry in entries for key in _from_jwk(entry)))


def _from_jwk(entry: dict[str, object]) -> tuple[SigningKey, ...]:
    kid, algorithm = entry.get("kid"), entry.get("alg")
    if entry.get("use", "sig") != "sig" or not isinstance(kid, str | None):
        return ()
    try:
        public_key = jwt.PyJWK(entry).key
    except (jwt.PyJWTError, ValueError, TypeError, UnsupportedAlgorithm):
        return ()
    return _usable(kid, algorithm, public_key)


def _usable(kid: str | None, algorithm: object, public_key: object) -> tuple[SigningKey, ...]:
    match public_key:
        case RSAPublicKey() if public_key.key_size >= _MIN_RSA_BITS:
            algorithms = RSA_ALGORITHMS
        case EllipticCurvePublicKey() if public_key.curve.name in CURVE_ALGORITHMS:
            algorithms = frozenset({CURVE_ALGORITHMS[public_key.curve.name]})
        case _:
            return ()
    if algorithm is not None:
        algorithms &= {algorithm}
    return (SigningKey(kid=kid, algorithms=algorithms, public_key=public_key),) if algorithms else ()
