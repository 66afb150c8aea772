"""docs/configuration.md and the settings cannot disagree about a key or its default."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from app.config_schema import leaves_of
from app.durations import duration_text
from app.settings import Settings

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"
ROWS = dict(re.findall(r"^\| `([a-z_.]+)` \| ([^|]+) \|", PAGE.read_text(), re.MULTILINE))
KEYS = [".".join(path) for path in leaves_of(Settings)]


def test_the_page_names_every_key_and_no_other() -> None:
    assert set(ROWS) == {*KEYS, "providers"}


@pytest.mark.parametrize("key", KEYS)
def test_the_page_tells_the_default(key: str) -> None:
    value: object = Settings()
    for name in key.split("."):
        value = getattr(value, name)
    match value:
        case None | () | "":
            assert re.fullmatch(r"[a-z][\w .`]*", ROWS[key].replace("`", "")), "not set, or said in words"
        case timedelta():
            written = re.search(r"`(.+)`", ROWS[key])
            assert written
            assert written[1] in {duration_text(value), f"{value // timedelta(seconds=1)}s"}
        case tuple():
            assert ROWS[key] == ", ".join(f"`{item}`" for item in value)
        case bool():
            assert ROWS[key] == f"`{str(value).lower()}`"
        case _:
            assert ROWS[key] == f"`{value}`"
