"""What an adapter gives the driver: pure translation in both directions, no socket, no timer."""

from typing import Protocol

import msgspec
from typing_extensions import override

from domain.providers.capabilities import Capabilities
from domain.providers.errors import ProviderFailure
from domain.providers.events import ProviderEvent
from domain.providers.request import ProviderRequest
from infra.providers.anomalies import Anomalies
from infra.providers.sse_decoder import Frame


class HttpCall(msgspec.Struct, frozen=True, kw_only=True):
    """`repr` leaves the headers out, for they carry the key, and the body, for it carries the prompt."""

    url: str
    headers: dict[str, str]
    body: bytes

    @override
    def __repr__(self) -> str:
        return f"HttpCall({len(self.body)} bytes)"


class Translator(Protocol):
    """Frames of one answer to events; after a Completed or Failed it is not asked again.

    `finished` holds once the remote gave its reason to finish, so that a missing goodbye costs nothing.
    """

    finished: bool

    def on_frame(self, frame: Frame) -> list[ProviderEvent]: ...

    def on_eof(self) -> list[ProviderEvent]:
        """What was held back, then the terminal that this end amounts to."""
        ...

    def on_failure(self, failure: ProviderFailure) -> list[ProviderEvent]:
        """What was held back, then Failed with the usage known so far."""
        ...


class Adapter(Protocol):
    @property
    def capabilities(self) -> Capabilities: ...

    def encode(self, request: ProviderRequest) -> HttpCall: ...

    def translator(self, request: ProviderRequest, anomalies: Anomalies) -> Translator:
        """One for each answer to `request`."""
        ...
