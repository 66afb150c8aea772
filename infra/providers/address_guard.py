"""Which addresses a provider may be reached at: judged in the configuration and again at every connect."""

import re
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TypeAlias
from urllib.parse import urlsplit

Address: TypeAlias = IPv4Address | IPv6Address

_SHARED = ip_network("100.64.0.0/10")
_NAT64 = ip_network("64:ff9b::/96")
_METADATA = {
    ip_address("169.254.169.254"),
    ip_address("fd00:ec2::254"),
    ip_address("100.100.100.200"),
    ip_address("168.63.129.16"),
}
_LEGACY_NUMBER = re.compile(r"(?:0x[0-9a-f]*|\d+)(?:\.(?:0x[0-9a-f]*|\d+)){0,3}")
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?")


class AddressRefused(OSError):
    """An OSError, so that a connector takes it for a failed attempt; one text, so that several collapse into one."""

    def __init__(self) -> None:
        super().__init__("address refused")


class AddressGuard:
    """A connector's socket factory: sees the literal or resolved address itself, so rebinding a name gains nothing."""

    def __init__(self, *, allow_private_network: bool) -> None:
        self._allow_private_network = allow_private_network

    def __call__(self, info: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
        family, kind, protocol, _, target = info
        if not permitted(ip_address(str(target[0])), allow_private_network=self._allow_private_network):
            raise AddressRefused
        return socket.socket(family, kind, protocol)


def permitted(address: Address, *, allow_private_network: bool) -> bool:
    """Public addresses; loopback and private ones where allowed; metadata, link-local and the like never."""
    address = _embedded(address)
    if address in _METADATA:
        return False
    if address.is_loopback:
        return allow_private_network
    if address.is_link_local or address.is_multicast or address.is_unspecified or address.is_reserved:
        return False
    if address.is_private or address in _SHARED:
        return allow_private_network
    return address.is_global


def _embedded(address: Address) -> Address:
    """The IPv4 address that a mapped, 6to4 or NAT64 one would reach."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def is_loopback_host(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return _embedded(ip_address(host)).is_loopback
    except ValueError:
        return False


def is_public_host(host: str) -> bool:
    """Whether a browser may be sent there: no address of a private network, in whatever disguise."""
    try:
        host = host.encode("idna").decode("ascii").removesuffix(".")
        return "%" not in host and permitted(ip_address(host), allow_private_network=False)
    except UnicodeError:
        return False
    except ValueError:
        return bool(host) and "%" not in host and not is_loopback_host(host) and not _LEGACY_NUMBER.fullmatch(host)


def base_url_faults(url: str, *, allow_http: bool, allow_private_network: bool) -> Iterator[str]:
    """Everything wrong with a base URL; it holds scheme, host, port and path prefix and nothing else."""
    if any(character <= " " or character in "\\\x7f" for character in url):
        yield "must not contain spaces, control characters or backslashes"
        return
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        yield "is not a URL"
        return
    if parts.scheme not in {"http", "https"}:
        yield "must begin with https:// or http://"
    elif parts.scheme == "http" and not allow_http:
        yield "is not https; set allow_http to send keys and prompts unencrypted"
    if parts.username is not None or parts.query or parts.fragment or url.endswith(("?", "#")):
        yield "must not contain a user, a query or a fragment"
    yield from _host_faults(host, allow_private_network=allow_private_network)


def _host_faults(host: str, *, allow_private_network: bool) -> Iterator[str]:
    try:
        address = ip_address(host)
    except ValueError:
        if not _HOST.fullmatch(host) or _LEGACY_NUMBER.fullmatch(host):
            yield "names no valid host"
        elif is_loopback_host(host) and not allow_private_network:
            yield "is on this machine; set allow_private_network"
        return
    if "%" in host:
        yield "names no valid host"
    elif not permitted(address, allow_private_network=allow_private_network):
        yield "is an address that may not be reached; private networks need allow_private_network"
