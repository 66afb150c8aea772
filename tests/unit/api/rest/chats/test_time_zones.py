"""Which words name a time zone."""

from datetime import UTC, datetime
from importlib.resources import files

import pytest

from api.rest.chats.time_zones import zone_named
from domain.errors import InvalidRequest


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+12", "EST5EDT"])
def test_names_of_the_iana_are_known(name: str) -> None:
    assert zone_named(name).key == name


def test_every_name_of_the_pinned_release_can_be_read() -> None:
    names = (files("tzdata") / "zones").read_text().split()
    assert len(names) > 500
    for name in names:
        assert zone_named(name).utcoffset(datetime(2026, 1, 1, tzinfo=UTC)) is not None


@pytest.mark.parametrize(
    "name",
    [
        "",
        " UTC",
        "utc",
        "Europe",
        "Europe/",
        "Europe/Berlin/",
        "Europe//Berlin",
        "./UTC",
        "../UTC",
        "/usr/share/zoneinfo/UTC",
        "right/UTC",
        "localtime",
        "zone.tab",
        "zones",
        "__init__.py",
        "+02:00",
        "\ud800",
        "UTC\n",
        "x" * 10_000,
    ],
)
def test_everything_else_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        zone_named(name)
    (fault,) = refused.value.faults
    assert (fault.field, fault.code) == ("tz", "invalid_value")
