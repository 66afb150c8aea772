from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from infra.auth.dev import DevVerifier
from infra.auth.local_secret import local_secret
from infra.auth.principals import tenant_id_for, user_id_for


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*words: str, **env: str | None) -> Result:
    return CliRunner().invoke(main, words, env=env)


async def test_a_token_is_the_last_line_and_the_server_accepts_it() -> None:
    result = run("token", "--tenant", "acme", "--user", "alice", "--role", "admin", "--role", "user")
    assert result.exit_code == 0
    subject = await DevVerifier(local_secret(Path(".mini-chat/dev-secret"))).verify(result.stdout.splitlines()[-1])
    assert subject.tenant_id == tenant_id_for("acme")
    assert subject.user_id == user_id_for(subject.tenant_id, "alice")
    assert subject.roles == {"admin", "user"}
    assert subject.expires_at is not None
    assert subject.expires_at > datetime.now(UTC)


async def test_a_token_without_role_is_a_plain_users() -> None:
    token = run("token", "--tenant", "acme", "--user", "alice").stdout.splitlines()[-1]
    assert (await DevVerifier(local_secret(Path(".mini-chat/dev-secret"))).verify(token)).roles == {"user"}


def test_the_data_folder_decides_which_server_a_token_is_for() -> None:
    run("token", "--tenant", "acme", "--user", "alice", MINI_CHAT_DATA_DIR="elsewhere")
    assert Path("elsewhere/dev-secret").exists()
    assert not Path(".mini-chat").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("token", "--tenant", "acme"),
        ("token", "--tenant", "", "--user", "alice"),
        ("token", "--tenant", "acme", "--user", "alice", "--role", "root"),
        ("serve", "--port", "99999"),
        ("serve", "--port", "http"),
        ("serve", "--host", "0.0.0.0"),  # noqa: S104 - nothing is bound
        ("serve", "--workers", "0"),
        ("serve", "--config", "missing.toml"),
        ("migrate", "--config", "missing.toml"),
        ("nonsense",),
    ],
)
def test_an_operators_mistake_is_a_line_and_exit_code_2(words: tuple[str, ...]) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert result.stderr
    assert "Traceback" not in result.output
    assert not result.stdout


def test_each_mistake_has_its_line() -> None:
    result = run("config", "check", MINI_CHAT_HTTP_PORT="x", MINI_CHAT_TURN_LEASE="y", MINI_CHAT_WHAT="z")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "mini-chat: MINI_CHAT_WHAT: no such setting",
        "mini-chat: http.port (MINI_CHAT_HTTP_PORT): expected int, got str",
        "mini-chat: turn.lease (MINI_CHAT_TURN_LEASE): expected a duration such as 250ms, 30s, 10m, 1h or 1d",
    ]


def test_the_effective_configuration_is_printed_with_origins() -> None:
    Path("settings.toml").write_text('[turn]\nlease = "15s"\n')
    result = run("config", "check", "--config", "settings.toml", MINI_CHAT_HTTP_PORT="9000")
    assert result.exit_code == 0
    assert 'lease = "15s"  # settings.toml' in result.stdout
    assert "port = 9000  # MINI_CHAT_HTTP_PORT" in result.stdout


def test_the_file_may_be_named_by_a_variable() -> None:
    Path("settings.toml").write_text('[turn]\nlease = "15s"\n')
    assert 'lease = "15s"' in run("config", "check", MINI_CHAT_CONFIG="settings.toml").stdout


def test_what_a_start_would_refuse_of_a_provider_is_told_by_the_check_too() -> None:
    Path("settings.toml").write_text(
        '[providers.a]\nkind = "openai_chat"\nbase_url = "ftp://a"\nauth = { key = "sk-hunter2" }\n'
    )
    result = run("config", "check", "--config", "settings.toml")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "mini-chat: providers.a.base_url: must begin with https:// or http://",
        "mini-chat: providers.a.auth.key: must be env:NAME or file:/path, not the secret itself",
    ]
    assert "hunter2" not in result.output


def test_looking_at_the_configuration_writes_nothing() -> None:
    assert run("config", "check").exit_code == 0
    assert list(Path().iterdir()) == []


def test_no_token_is_issued_for_production() -> None:
    env = {
        "MINI_CHAT_AUTH_MODE": "jwt",
        "MINI_CHAT_AUTH_JWT_ISSUER": "https://id.example.com",
        "MINI_CHAT_AUTH_JWT_AUDIENCE": "mini-chat",
        "MINI_CHAT_AUTH_JWT_KEY_FILE": "keys.json",
        "MINI_CHAT_SECRETS_SIGNING_KEY": "env:KEY",
    }
    result = run("token", "--tenant", "acme", "--user", "alice", **env)
    assert result.exit_code == 2
    assert "auth.mode" in result.stderr


def test_a_spoiled_secret_is_named() -> None:
    Path(".mini-chat").mkdir()
    Path(".mini-chat/dev-secret").write_text("spoiled")
    result = run("token", "--tenant", "acme", "--user", "alice")
    assert (result.exit_code, result.stderr) == (2, "mini-chat: .mini-chat/dev-secret: not a secret\n")
