from pathlib import Path

import pytest

from app.authentication import dev_secret, token_verifier
from app.settings import AuthSettings, Settings, load_settings
from domain.clock import SystemClock
from domain.errors import Unauthorized
from infra.auth.dev import dev_principal
from tests.unit.infra.auth.signing import AUDIENCE, ISSUER, PUBLISHED, signed


def jwt_settings(**changes: str) -> AuthSettings:
    env = {
        "MINI_CHAT_AUTH_MODE": "jwt",
        "MINI_CHAT_AUTH_JWT_ISSUER": ISSUER,
        "MINI_CHAT_AUTH_JWT_AUDIENCE": AUDIENCE,
        "MINI_CHAT_SECRETS_SIGNING_KEY": "env:KEY",
    }
    return load_settings(None, env | {f"MINI_CHAT_AUTH_JWT_{key}": value for key, value in changes.items()}, {}).auth


async def test_development_knows_its_principal_without_a_token(tmp_path: Path) -> None:
    verifier = token_verifier(Settings().auth, tmp_path, SystemClock())
    assert await verifier.verify(None) == dev_principal()
    assert len(dev_secret(tmp_path)) == 32


async def test_production_reads_its_keys_from_a_file_and_wants_a_token(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_bytes(PUBLISHED)
    verifier = token_verifier(jwt_settings(KEY_FILE=str(tmp_path / "keys.json")), tmp_path, SystemClock())
    assert (await verifier.verify(signed())).roles == {"user"}
    with pytest.raises(Unauthorized):
        await verifier.verify(None)


async def test_production_uses_the_configured_names_of_claims(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_bytes(PUBLISHED)
    settings = jwt_settings(KEY_FILE=str(tmp_path / "keys.json"), CLAIMS_ROLES="groups")
    verifier = token_verifier(settings, tmp_path, SystemClock())
    assert (await verifier.verify(signed(groups=["viewer"], roles=["admin"]))).roles == {"viewer"}
