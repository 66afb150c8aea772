"""The headers of every call to one provider, its key among them (providers-and-files.md 2.1)."""

from domain.providers.request import ProviderRequest
from infra.providers.secrets import Secret
from infra.providers.settings import Flavour, ProviderKind, ProviderSettings

OWN_HEADERS = ("Content-Type", "Accept", "Accept-Encoding", "User-Agent", "traceparent")
_KEY_HEADERS = {ProviderKind.ANTHROPIC: "x-api-key", ProviderKind.INFERENCE_HTTP: "X-Internal-API-Key"}


class CallHeaders:
    def __init__(
        self, settings: ProviderSettings, key: Secret | None, extra: dict[str, Secret], user_agent: str
    ) -> None:
        self._settings = settings
        self._user_agent = user_agent
        self.renew(key, extra)

    def renew(self, key: Secret | None, extra: dict[str, Secret]) -> None:
        """For the calls that are made from now on."""
        headers = {
            **{name: value.reveal() for name, value in extra.items()},
            "Content-Type": "application/json",
            "Accept": "text/event-stream",
            "Accept-Encoding": "identity",
            "User-Agent": self._user_agent,
        }
        if key is not None:
            name, prefix = auth_header(self._settings)
            headers[name] = prefix + key.reveal()
        self._headers = headers

    def of(self, request: ProviderRequest) -> dict[str, str]:
        if self._settings.propagate_trace and request.traceparent:
            return {**self._headers, "traceparent": request.traceparent}
        return self._headers


def auth_header(settings: ProviderSettings) -> tuple[str, str]:
    """Name and value prefix of the header that carries the key."""
    usual = "api-key" if settings.flavour is Flavour.AZURE else "Authorization"
    name = settings.auth.header or _KEY_HEADERS.get(settings.kind, usual)
    prefix = settings.auth.prefix
    if prefix is None:
        prefix = "Bearer " if name.lower() == "authorization" else ""
    return name, prefix
