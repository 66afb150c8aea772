from ipaddress import ip_address

import pytest

from infra.providers.address_guard import AddressGuard, AddressRefused, base_url_faults, is_loopback_host, permitted

PUBLIC = ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"]
LOCAL = ["127.0.0.1", "::1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "100.64.0.1", "fc00::1", "::ffff:10.0.0.1"]
NEVER = [
    "169.254.169.254",
    "169.254.1.1",
    "fd00:ec2::254",
    "100.100.100.200",
    "168.63.129.16",
    "fe80::1",
    "0.0.0.0",  # noqa: S104  the address that must be refused
    "::",
    "224.0.0.1",
    "ff02::1",
    "240.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be_reached(address: str) -> None:
    assert permitted(ip_address(address), allow_private_network=False)


@pytest.mark.parametrize("address", LOCAL)
def test_private_addresses_need_permission(address: str) -> None:
    assert not permitted(ip_address(address), allow_private_network=False)
    assert permitted(ip_address(address), allow_private_network=True)


@pytest.mark.parametrize("address", NEVER)
def test_metadata_and_the_like_are_never_reached(address: str) -> None:
    assert not permitted(ip_address(address), allow_private_network=True)


def test_the_guard_judges_the_address_it_is_about_to_connect_to() -> None:
    with pytest.raises(AddressRefused):
        AddressGuard(allow_private_network=False)((2, 1, 6, "", ("127.0.0.1", 80)))
    AddressGuard(allow_private_network=True)((2, 1, 6, "", ("127.0.0.1", 80))).close()


@pytest.mark.parametrize("url", ["https://api.example.com", "https://api.example.com:8443/v1", "https://8.8.8.8/x"])
def test_plain_https_urls_pass(url: str) -> None:
    assert list(base_url_faults(url, allow_http=False, allow_private_network=False)) == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example.com",
        "ftp://example.com",
        "https://",
        "https://user:pw@example.com",
        "https://@example.com",
        "https://example.com?x=1",
        "https://example.com/?",
        "https://example.com#x",
        "https://exa mple.com",
        "https://example.com\\x",
        "https://example.com.",
        "https://2130706433",
        "https://0x7f.1",
        "https://127.1",
        "https://0177.0.0.1",
        "https://[fe80::1%25eth0]",
        "https://[::1",
        "https://example.com:99999",
        "https://-example.com",
    ],
)
def test_anything_else_is_refused_even_with_all_permissions(url: str) -> None:
    assert list(base_url_faults(url, allow_http=True, allow_private_network=True))


@pytest.mark.parametrize("url", ["http://127.0.0.1:11434/v1", "http://localhost:8000", "http://[::1]:80"])
def test_local_servers_need_both_permissions(url: str) -> None:
    assert len(list(base_url_faults(url, allow_http=False, allow_private_network=False))) == 2
    assert list(base_url_faults(url, allow_http=True, allow_private_network=True)) == []


def test_loopback_hosts_are_known() -> None:
    assert all(map(is_loopback_host, ["localhost", "a.localhost", "127.0.0.2", "::1"]))
    assert not any(map(is_loopback_host, ["example.com", "10.0.0.1", ""]))
