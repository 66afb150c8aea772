"""What can be said of deploy/ without a Docker daemon."""

import tomllib
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # it ships no types

from app.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PLACEHOLDERS = {
    "MINI_CHAT_AUTH_JWT_ISSUER": "https://id.example.com",
    "MINI_CHAT_AUTH_JWT_AUDIENCE": "mini-chat",
    "MINI_CHAT_AUTH_JWT_JWKS_URL": "https://id.example.com/jwks.json",
    "MINI_CHAT_PROVIDERS__OPENAI__BASE_URL": "https://api.example.com/v1",
}


def test_compose_gives_the_replicas_settings_that_exist(tmp_path: Path) -> None:
    config = tmp_path / "serve.toml"
    config.write_text('[database]\nurl = "postgresql://mini_chat_app@postgres/mini_chat"\n')
    settings = load_settings(config, COMPOSE["x-replica"]["environment"] | PLACEHOLDERS, {})
    assert settings.auth.mode == "jwt"
    assert str(settings.redis.url).startswith("redis://redis:")
    assert settings.providers["openai"].auth.key == "file:/run/secrets/openai_api_key"


def test_a_stopping_replica_has_longer_than_its_drain() -> None:
    grace_seconds = int(COMPOSE["x-replica"]["stop_grace_period"].removesuffix("s"))
    drain = load_settings(None, {}, {}).drain
    assert grace_seconds > (drain.accept_window + drain.turn_deadline).total_seconds()


def test_only_nginx_is_reachable_and_only_the_migration_knows_the_superuser() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["nginx"]
    knowing = {
        name
        for name, service in SERVICES.items()
        if {"migrate.toml", "postgres_password"} & set(service.get("secrets", []))
    }
    assert knowing == {"postgres", "migrate"}


def test_the_replicas_are_those_nginx_asks() -> None:
    upstream = (ROOT / "deploy" / "nginx" / "upstream.conf").read_text()
    replicas = {name for name, service in SERVICES.items() if service.get("read_only") and name.startswith("api-")}
    assert {line.split()[1].removesuffix(":8080") for line in upstream.splitlines()} == replicas


def test_the_image_gets_every_package_of_the_wheel() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
        "packages"
    ]
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    admitted = (ROOT / ".dockerignore").read_text().splitlines()
    assert [name for name in packages if f"COPY {name} {name}\n" not in dockerfile or f"!{name}" not in admitted] == []


def test_jobs_are_left_to_the_worker_where_there_is_one() -> None:
    settings = load_settings(None, COMPOSE["x-replica"]["environment"] | PLACEHOLDERS, {})
    assert SERVICES["worker"]["command"] == ["worker"]
    assert SERVICES["worker"]["environment"] == SERVICES["api-1"]["environment"]
    assert not settings.jobs.embedded
