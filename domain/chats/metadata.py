"""What clients note about a chat for themselves."""

from collections.abc import Mapping
from typing import Final

from domain.errors import InvalidRequest

MAX_MEMBERS: Final = 16


def merged(metadata: Mapping[str, str], patch: Mapping[str, str | None]) -> dict[str, str]:
    """The members of both, those of the patch first; None removes a member (RFC 7396).

    Raises InvalidRequest when too many remain.
    """
    result = {name: value for name, value in {**metadata, **patch}.items() if value is not None}
    if len(result) > MAX_MEMBERS:
        raise InvalidRequest.of("metadata", f"At most {MAX_MEMBERS} members.", "too_long")
    return result
