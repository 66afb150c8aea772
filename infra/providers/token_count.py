"""Which numbers of a remote may pass for token counts."""

_MOST = 10_000_000


def token_count(value: object) -> int | None:
    """An integer or integral float of 0 … 10,000,000; anything else counts as not said."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if 0 <= value <= _MOST and value == int(value) else None
