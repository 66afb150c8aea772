from pathlib import Path

import pytest

from app.config_layers import Mistakes
from app.settings import Settings, load_settings
from app.signing_keys import cursor_keys

KEY = "k" * 32


def settings(tmp_path: Path, **references: str) -> Settings:
    flags = {f"secrets.{name}": value for name, value in references.items()}
    return load_settings(None, {}, {"data_dir": str(tmp_path), **flags})


def test_a_development_machine_keeps_a_key_of_its_own(tmp_path: Path) -> None:
    keys = cursor_keys(settings(tmp_path), {})
    assert len(keys.current) == 32
    assert cursor_keys(settings(tmp_path), {}) == keys


def test_keys_come_from_their_references(tmp_path: Path) -> None:
    (tmp_path / "old").write_text(KEY.upper() + "\n")
    named = settings(tmp_path, signing_key="env:NEW", previous_signing_key=f"file:{tmp_path}/old")
    keys = cursor_keys(named, {"NEW": KEY})
    assert (keys.current, keys.previous) == (KEY.encode(), KEY.upper().encode())


@pytest.mark.parametrize(
    ("env", "line"),
    [
        ({}, "secrets.signing_key: environment variable NEW is not set"),
        ({"NEW": "short"}, "secrets.signing_key: must have at least 32 characters"),
    ],
)
def test_a_key_that_cannot_be_used_is_named(tmp_path: Path, env: dict[str, str], line: str) -> None:
    with pytest.raises(Mistakes) as refused:
        cursor_keys(settings(tmp_path, signing_key="env:NEW"), env)
    assert refused.value.lines == (line,)
