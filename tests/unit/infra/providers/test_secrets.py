from pathlib import Path

import pytest

from infra.providers.secrets import Secret, UnusableReference, resolve


def test_a_secret_prints_as_stars_everywhere() -> None:
    secret = Secret("hunter2")
    assert {repr(secret), str(secret), f"{secret}", "%s" % secret, f"{[secret]}"} == {"***", "[***]"}  # noqa: UP031
    assert secret.reveal() == "hunter2"


def test_references_lead_to_the_environment_and_to_files(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-file\n")
    assert resolve("env:KEY", {"KEY": "from-env"}).reveal() == "from-env"
    assert resolve(f"file:{tmp_path / 'key'}", {}).reveal() == "from-file"


@pytest.mark.parametrize("reference", ["sk-literal", "env:MISSING", "env:", "env:BLANK", "file:/does/not/exist", ""])
def test_literals_and_dead_references_are_refused_without_echo(reference: str) -> None:
    with pytest.raises(UnusableReference) as refused:
        resolve(reference, {"BLANK": "  "})
    assert "sk-literal" not in str(refused.value)
