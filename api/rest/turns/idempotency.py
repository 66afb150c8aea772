"""The `Idempotency-Key` header: another way to name the request_id (api.md 1.4)."""

import re
from uuid import UUID

from litestar.datastructures import Headers

from domain.errors import InvalidRequest

_HEADER = "Idempotency-Key"
_FORM = re.compile(r"""(?P<quote>"?)(?P<key>[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})(?P=quote)""")


def idempotency_key(headers: Headers) -> UUID | None:
    """A UUID, bare or as a quoted structured-field string (RFC 8941). Raises InvalidRequest for anything else."""
    values = headers.getall(_HEADER, [])
    if not values:
        return None
    written = _FORM.fullmatch(values[0].strip())
    if written is None or len(values) > 1:
        raise InvalidRequest.of(_HEADER, "This is not a UUID.", "invalid_uuid")
    return UUID(written["key"])
