from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.auth.local_secret import SecretFileUnusable, local_secret


def test_a_secret_is_made_once_and_for_the_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "data" / "dev-secret"
    secret = local_secret(path)
    assert len(secret) == 32
    assert local_secret(path) == secret
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["dev-secret"]


def test_those_who_start_together_agree(tmp_path: Path) -> None:
    path = tmp_path / "dev-secret"
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(local_secret, [path] * 32))) == 1


@pytest.mark.parametrize("content", ["", "00", "not hexadecimal", "00" * 64])
def test_a_file_that_is_no_secret_is_refused_and_kept(tmp_path: Path, content: str) -> None:
    path = tmp_path / "dev-secret"
    path.write_text(content)
    with pytest.raises(SecretFileUnusable, match="dev-secret"):
        local_secret(path)
    assert path.read_text() == content


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SecretFileUnusable, match="file"):
        local_secret(tmp_path / "file" / "dev-secret")
