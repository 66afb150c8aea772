import pytest

from domain.auth.loopback import is_loopback, names_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST", "app.localhost"])
def test_names_of_this_machine_are_known(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "0.0.0.0",  # noqa: S104 - nothing is bound
        "::",
        "10.0.0.1",
        "example.com",
        "localhost.example.com",
        "127.0.0.1.nip.io",
        "127.1",
        "2130706433",
    ],
)
def test_any_other_name_is_foreign(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "header", ["localhost", "localhost:8080", "127.0.0.1:8080", "127.0.0.1", "[::1]:8080", "[::1]", "LocalHost:1"]
)
def test_a_host_header_may_name_this_machine(header: str) -> None:
    assert names_loopback(header)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "evil.example.com",
        "evil.example.com:8080",
        "localhost.evil.example.com:8080",
        "[::1",
        "[::1]evil.example.com",
        "::1",
        "localhost:80@evil.example.com",
        "localhost:8080:1",
        "localhost:\u0668",
        "localhost, evil.example.com",
        " localhost",
        "192.168.0.5:8080",
    ],
)
def test_a_foreign_or_odd_host_header_is_refused(header: str | None) -> None:
    assert not names_loopback(header)
