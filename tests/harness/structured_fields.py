"""Lists of structured fields (RFC 9651), as far as our headers use them: strings with parameters."""

import re
from typing import Any

_ITEM = re.compile(r'"([ !#-\[\]-~]*)"((?:;[a-z*][a-z0-9_.*-]*=(?:-?[0-9]{1,15}|"[ !#-\[\]-~]*"))*)')
_PARAMETER = re.compile(r";([a-z*][a-z0-9_.*-]*)=(?:(-?[0-9]+)|\"([^\"]*)\")")


def items_of(header: str) -> list[tuple[str, dict[str, Any]]]:
    """Every item with its parameters. Raises AssertionError for a list that a strict reader would refuse."""
    items = []
    for text in header.split(", "):
        item = _ITEM.fullmatch(text)
        assert item, header
        items.append(
            (item[1], {name: int(number) if number else word for name, number, word in _PARAMETER.findall(item[2])})
        )
    return items
