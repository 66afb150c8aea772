"""What a remote calls its things, fit for a column of ours."""

import re

_FIT = re.compile(r"[\x20-\x7e]{1,200}")


def remote_name(value: object) -> str | None:
    """None for anything but a short line of printable ASCII."""
    return value if isinstance(value, str) and _FIT.fullmatch(value) else None
