"""A database address as people write it, in the form the driver reads."""

from typing import Final

DIALECT: Final = "postgresql+asyncpg://"
"""What SQLAlchemy is told. The driver gets the address itself, so every libpq parameter keeps its meaning."""

_SPELLINGS: Final = (DIALECT, "postgres://")


def driver_dsn(address: str) -> str:
    """`postgresql://…`, whichever of the usual three schemes `address` begins with."""
    for spelling in _SPELLINGS:
        if address.startswith(spelling):
            return "postgresql://" + address.removeprefix(spelling)
    return address
