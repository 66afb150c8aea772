"""Responses that are no event stream, and what they mean."""

from http import HTTPStatus

import aiohttp
import anyio

from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.events import Completed, Failed, Finish
from infra.providers.anomalies import Anomalies
from infra.providers.frame_json import Undecodable, repaired_json
from infra.providers.remote_error import RemoteError, read_error, verdict
from infra.providers.retry_hint import retry_after_ms

_BODY_S = 2.0
_BODY_BYTES = 64 * 1024


def is_event_stream(response: aiohttp.ClientResponse, *, lenient: bool) -> bool:
    """Status 200 with the media type of an event stream, which may be missing where the operator is lenient."""
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    known = media_type == "text/event-stream" or (lenient and not media_type)
    return response.status == HTTPStatus.OK and known and _is_plain(response)


async def read_refusal(response: aiohttp.ClientResponse) -> Completed | Failed:
    """The terminal that such a response amounts to, within 2 s and 64 KiB."""
    error = await _error(response) if _is_plain(response) else None
    if response.status != HTTPStatus.OK:
        ending = verdict(error or RemoteError(), response.status, retry_after_ms(response.headers))
    elif error is not None:
        ending = verdict(error, None, retry_after_ms(response.headers))
    else:
        ending = ProviderFailure(kind=FailureKind.BAD_RESPONSE, detail="no event stream")
    return Completed(finish=ending) if isinstance(ending, Finish) else Failed(failure=ending)


async def _error(response: aiohttp.ClientResponse) -> RemoteError | None:
    body = b""
    try:
        with anyio.move_on_after(_BODY_S):
            while len(body) < _BODY_BYTES and (chunk := await response.content.readany()):
                body += chunk
    except (aiohttp.ClientError, OSError):
        pass
    try:
        return read_error(repaired_json(body[:_BODY_BYTES], Anomalies()))
    except Undecodable:
        return None


def _is_plain(response: aiohttp.ClientResponse) -> bool:
    """We ask for identity; whoever compresses all the same is not unpacked, for it might be a bomb."""
    return response.headers.get("Content-Encoding", "identity").strip().lower() == "identity"
