"""`python -m tests.harness.embedded_server FOLDER BIN`: a parent of an embedded PostgreSQL, for tests to end badly."""

import asyncio
import sys
from pathlib import Path

import anyio
import asyncpg

from infra.postgres.embedded import SUPERUSER, Durability, EmbeddedPostgres
from infra.postgres.unusable import DatabaseUnusable


async def _run(folder: Path, bin_dir: Path) -> None:
    postgres = EmbeddedPostgres(folder, bin_dir, durability=Durability.DISPOSABLE)
    try:
        await postgres.start()
    except DatabaseUnusable as failed:
        sys.exit(f"refused: {failed}")
    print("ready", flush=True)  # noqa: T201 the test reads it
    try:
        await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True):
            await _say_goodbye(postgres)


async def _say_goodbye(postgres: EmbeddedPostgres) -> None:
    """Proves that whatever interrupted us has not reached the server."""
    connection = await asyncpg.connect(postgres.dsn(SUPERUSER, "postgres"))
    await connection.close()
    print("still there", flush=True)  # noqa: T201 the test reads it
    await postgres.stop()


if __name__ == "__main__":
    asyncio.run(_run(Path(sys.argv[1]), Path(sys.argv[2])))
