"""Headers that a configuration may not ask for: they are ours to send, or no server could be sent them."""

import re
from collections.abc import Iterator
from typing import Final

from infra.providers.call_headers import OWN_HEADERS, auth_header
from infra.providers.secrets import is_reference
from infra.providers.settings import ProviderKind, ProviderSettings

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_OF_THE_CONNECTION: Final = {
    "host",
    "content-length",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "expect",
    "te",
    "trailer",
    "upgrade",
}
_OURS: Final = _OF_THE_CONNECTION | {name.lower() for name in OWN_HEADERS}
_OURS_BY_KIND: Final = {ProviderKind.ANTHROPIC: {"anthropic-version", "anthropic-beta"}}  # with settings of their own


def header_faults(settings: ProviderSettings) -> Iterator[str]:
    """Each line is led by the setting's name and shows no value."""
    ours = _OURS | _OURS_BY_KIND.get(settings.kind, set())
    if settings.auth.header is not None and settings.auth.header.lower() in ours:
        yield "auth.header: is another header of ours"
    if not (settings.auth.prefix or "").isprintable():
        yield "auth.prefix: must be printable"
    taken = ours | ({auth_header(settings)[0].lower()} if settings.auth.key else set())
    for name, value in settings.extra_headers.items():
        if not _NAME.fullmatch(name):
            yield f"extra_headers: {name!r} is no name of a header"
        elif name.lower() in taken:
            yield f"extra_headers.{name}: may not be replaced"
        elif not value.isprintable() and not is_reference(value):
            yield f"extra_headers.{name}: must be printable"
        taken = taken | {name.lower()}
