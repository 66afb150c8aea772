"""The `Idempotency-Key` header: another way to name the request_id (api.md 1.4)."""

from uuid import UUID

from litestar.datastructures import Headers

from domain.errors import InvalidRequest

_HEADER = "Idempotency-Key"


def idempotency_key(headers: Headers) -> UUID | None:
    """A UUID, bare or as a quoted structured-field string (RFC 8941). Raises InvalidRequest for anything else."""
    values = headers.getall(_HEADER, [])
    if not values:
        return None
    text = values[0].strip().removeprefix('"').removesuffix('"')
    try:
        key = UUID(text)
    except ValueError:
        key = None
    if key is None or len(values) > 1:
        raise InvalidRequest.of(_HEADER, "This is not a UUID.", "invalid_uuid")
    return key
