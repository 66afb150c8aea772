"""The three usual spellings of an address mean the same."""

import pytest

from infra.postgres.dsn import driver_dsn


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_the_scheme_becomes_the_drivers(scheme: str) -> None:
    assert driver_dsn(f"{scheme}://a:b@host:1/c?host=/run/d&sslmode=require") == (
        "postgresql://a:b@host:1/c?host=/run/d&sslmode=require"
    )
