from pathlib import Path

import pytest

from infra.providers.secrets import Secret, UnusableReference, resolve, resolve_for_header


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


@pytest.mark.parametrize("reference", ["env:sk-pasted", "env:", "file:", "env:A B"])
def test_a_secret_behind_the_name_of_a_scheme_is_not_echoed(reference: str) -> None:
    with pytest.raises(UnusableReference) as refused:
        resolve(reference, {})
    assert str(refused.value) == "must be env:NAME or file:/path, not the secret itself"


@pytest.mark.parametrize("value", ["sk-one\nsk-two", "sk\0", "sk\udce4"])
def test_what_no_header_can_carry_is_no_key(value: str, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(value.encode(errors="surrogateescape"))
    for reference in ("env:KEY", f"file:{file}"):
        with pytest.raises(UnusableReference) as refused:
            resolve_for_header(reference, {"KEY": value})
        assert "sk" not in str(refused.value).replace(str(file), "")
