"""Whose uses are counted together. The names stand in keys of a store that many may read, so they name no person."""

from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from domain.ids import TenantId, UserId

_DIGEST_BYTES: Final = 16
_IPV6_SITE_BITS: Final = 64
_KNOWN: Final = 4096


@lru_cache(_KNOWN)
def user_holder(tenant_id: TenantId, user_id: UserId) -> str:
    """The braces keep what one call counts on one node of a Redis cluster."""
    digest = blake2b(user_id.bytes, key=tenant_id.bytes, digest_size=_DIGEST_BYTES).hexdigest()
    return f"{{{tenant_id.hex}}}:{digest}"


def tenant_holder(tenant_id: TenantId) -> str:
    return f"{{{tenant_id.hex}}}"


@lru_cache(_KNOWN)
def address_holder(address: str) -> str:
    """One host of IPv4, one site of IPv6, of whose addresses anybody has 2^64."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((parsed.packed, _IPV6_SITE_BITS), strict=False))
