"""Lists of structured fields (RFC 9651), read by somebody else's strict reader."""

from typing import Any

import http_sf


def items_of(header: str) -> list[tuple[str, dict[str, Any]]]:
    """Every item with its parameters. Raises for a list that breaks the grammar."""
    items: Any = http_sf.parse(header.encode("ascii"), tltype="list")
    return [(str(name), dict(parameters)) for name, parameters in items]
