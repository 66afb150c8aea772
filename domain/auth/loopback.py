"""Which names mean this very machine. The dev mode, which asks for no credential, answers to those only."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether a host name or address, without port, never leaves the machine (RFC 6761, section 6.3)."""
    name = host.lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def names_loopback(host_header: str | None) -> bool:
    """Whether a Host header names this machine.

    A page on a foreign site can make its own name resolve to 127.0.0.1 and then read our answers
    (DNS rebinding), but it cannot make the browser send another Host than that name.
    """
    if not host_header:
        return False
    if host_header.startswith("["):
        address, bracket, rest = host_header[1:].partition("]")
        return bool(bracket) and _is_port(rest) and is_loopback(address)
    host, colon, port = host_header.partition(":")
    return _is_port(colon + port) and is_loopback(host)


def _is_port(text: str) -> bool:
    return not text or (text.startswith(":") and text[1:].isascii() and text[1:].isdigit())
