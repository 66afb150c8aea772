"""From which address a call comes. What a client says about itself is believed of proxies of ours alone."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final

from litestar.connection import ASGIConnection

_MOST_HOPS: Final = 16
"""Nobody shall keep us busy with a list as long as a head may be."""


class TrustedProxies:
    """Networks in CIDR form. Raises ValueError for anything else."""

    def __init__(self, networks: Sequence[str] = ()) -> None:
        self._networks = tuple(ip_network(network) for network in networks)

    def address_of(self, connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:
        """None where there is no network between, as over a Unix socket."""
        if connection.client is None:
            return None
        peer = connection.client.host
        if not self._networks:
            return peer
        said = ",".join(connection.headers.getall("x-forwarded-for", []))
        return self.origin(peer, [word.strip() for word in said.rsplit(",", _MOST_HOPS)[-_MOST_HOPS:] if word.strip()])

    def origin(self, peer: str, forwarded: Sequence[str]) -> str:
        """The nearest address on the way that is no proxy of ours: each one has vouched for the one before it."""
        nearest = peer
        for address in reversed((*forwarded, peer)):
            parsed = _parsed(address)
            if parsed is None:
                return nearest
            nearest = address
            if not any(parsed in network for network in self._networks):
                return nearest
        return nearest


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    return parsed.ipv4_mapped or parsed if isinstance(parsed, IPv6Address) else parsed
