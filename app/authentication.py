"""The verifier that the configured auth mode asks for."""

from pathlib import Path

from app.settings import AuthMode, AuthSettings, JwtSettings
from domain.clock import Clock
from infra.auth.dev import DevVerifier
from infra.auth.jwt_tokens import JwtVerifier
from infra.auth.key_cache import CachePolicy, KeyCache, LoadKeys
from infra.auth.key_sources import JwksAddress, KeyFile
from infra.auth.local_secret import local_secret
from infra.auth.remembered_tokens import RememberedTokens
from infra.auth.token_check import Expected

DEV_SECRET_FILE = "dev-secret"  # noqa: S105 - the name of a file


def token_verifier(auth: AuthSettings, data_dir: Path, clock: Clock) -> RememberedTokens:
    """In dev mode raises SecretFileUnusable when the data folder holds no usable secret and none can be made."""
    if auth.mode is AuthMode.DEV:
        return RememberedTokens(DevVerifier(dev_secret(data_dir)), clock)
    return RememberedTokens(_jwt_verifier(auth.jwt, clock), clock)


def _jwt_verifier(jwt: JwtSettings, clock: Clock) -> JwtVerifier:
    policy = CachePolicy(refresh_after=jwt.keys_refresh_after, usable_for=jwt.keys_usable_for, pause=jwt.fetch_pause)
    return JwtVerifier(
        KeyCache(_key_source(jwt), clock, policy),
        Expected(issuer=jwt.issuer, audiences=jwt.audience, leeway=jwt.leeway),
        frozenset(jwt.algorithms),
        jwt.claims,
    )


def dev_secret(data_dir: Path) -> bytes:
    return local_secret(data_dir / DEV_SECRET_FILE)


def _key_source(jwt: JwtSettings) -> LoadKeys:
    if jwt.key_file is not None:
        return KeyFile(jwt.key_file).load
    return JwksAddress(jwt.jwks_url or "", jwt.fetch_deadline).load
