"""Where the calls of one provider go (providers-and-files.md 2.2)."""

from urllib.parse import quote

from infra.providers.settings import ProviderSettings


class Endpoint:
    """`path` may hold `{model}`; a configured `api_version` becomes the query."""

    def __init__(self, settings: ProviderSettings, path: str) -> None:
        query = f"?api-version={settings.api_version}" if settings.api_version else ""
        self._url = settings.base_url.rstrip("/") + path + query

    def of(self, model: str) -> str:
        """`model` is the remote name, whatever characters it has."""
        return self._url.replace("{model}", quote(model, safe=""))
