"""`mini-chat migrate` finds the database that is meant."""

from pathlib import Path

import anyio
import pytest
from msgspec.structs import replace

from app.config_layers import Mistakes
from app.migrating import migrate
from app.settings import DatabaseSettings, Settings
from infra.postgres import migrate as migrations
from infra.postgres.role_check import NEWEST_VERSION
from tests.harness.postgres import Database, quick_folder


def _settings(tmp_path: Path, url: str | None = None, migration_url: str | None = None) -> Settings:
    database = DatabaseSettings(url=url, migration_url=migration_url)
    return replace(Settings(), data_dir=tmp_path, database=database)


async def _version(address: str) -> str | None:
    return await migrations.current(address)


def test_the_migration_login_comes_before_the_service_login(empty_database: Database, tmp_path: Path) -> None:
    """The service's own login could not create a thing."""
    migrate(_settings(tmp_path, url=empty_database.dsn, migration_url=empty_database.superuser_dsn))
    assert anyio.run(_version, empty_database.superuser_dsn) == NEWEST_VERSION


def test_without_an_address_the_embedded_database_is_made_and_left() -> None:
    with quick_folder() as folder:
        migrate(_settings(folder))
        assert (folder / "postgres" / "cluster" / "PG_VERSION").exists()
        assert not (folder / "postgres" / "cluster" / "postmaster.pid").exists()


def test_a_refusal_is_a_mistake_of_the_operator(empty_database: Database, tmp_path: Path) -> None:
    with pytest.raises(Mistakes, match=r"permission denied|admin option"):
        migrate(_settings(tmp_path, url=empty_database.dsn))
