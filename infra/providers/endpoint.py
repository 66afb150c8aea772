"""Where the calls of one provider go (providers-and-files.md 2.2)."""

from urllib.parse import quote

from infra.providers.settings import Flavour, ProviderSettings


def usual_path(settings: ProviderSettings, call: str) -> str:
    """Of a call as OpenAI named it, behind a base URL with or without its `/v1`."""
    base = settings.base_url.rstrip("/")
    if base.endswith("/v1"):
        return f"/{call}"
    is_above = settings.flavour is Flavour.AZURE and not base.endswith("/openai")
    return f"/openai/v1/{call}" if is_above else f"/v1/{call}"


class Endpoint:
    """`path` may hold `{model}`; a configured `api_version` becomes the query."""

    def __init__(self, settings: ProviderSettings, path: str) -> None:
        query = f"?api-version={settings.api_version}" if settings.api_version else ""
        self._url = settings.base_url.rstrip("/") + path + query

    def of(self, model: str) -> str:
        """`model` is the remote name, whatever characters it has."""
        return self._url.replace("{model}", quote(model, safe=""))
