"""The query string as names and values, in the order in which they were sent."""

from urllib.parse import parse_qsl

from domain.errors import InvalidRequest


def pairs_of(query: bytes, at_most: int | None = None) -> list[tuple[str, str]]:
    """Raises InvalidRequest for what is not UTF-8, or for more than `at_most` of them."""
    try:
        return parse_qsl(query.decode(), keep_blank_values=True, errors="strict", max_num_fields=at_most)
    except ValueError:
        raise InvalidRequest.of("query", "The query string cannot be read.", "syntax") from None
