"""docs/providers.md and the settings of a provider cannot disagree about a key."""

import re
from pathlib import Path

from app.config_schema import leaves_of
from infra.providers.settings import ProviderKind, ProviderSettings

PAGE = (Path(__file__).parents[3] / "docs" / "providers.md").read_text()
KEYS = {".".join(path) for path in leaves_of(ProviderSettings)}
TABLES = re.findall(r"^\| Key \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)


def test_the_page_names_every_key() -> None:
    assert {key for key in KEYS if f"`{key}`" not in PAGE} == set()


def test_the_tables_name_no_other_key() -> None:
    rows = [row.split("|")[1] for table in TABLES for row in table.splitlines()]
    assert len(rows) > len(KEYS) / 2
    assert {key for row in rows for key in re.findall(r"`([^`]+)`", row)} <= KEYS


def test_each_kind_has_its_section() -> None:
    assert set(ProviderKind) <= set(re.findall(r"^## `(\w+)`$", PAGE, re.MULTILINE))
