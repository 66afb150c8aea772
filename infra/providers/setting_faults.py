"""What an operator may have got wrong about one provider, told before anybody calls it."""

from collections.abc import Iterator, Mapping

from infra.providers.adapters.scripted.script_file import InvalidScript, load_script
from infra.providers.address_guard import base_url_faults
from infra.providers.header_faults import header_faults
from infra.providers.http_pool import trusting
from infra.providers.secrets import UnusableReference, is_reference, resolve_for_header
from infra.providers.settings import ProviderKind, ProviderSettings


def provider_faults(settings: ProviderSettings, env: Mapping[str, str]) -> Iterator[str]:
    """Everything that would keep this provider from being called, each line led by the setting's name."""
    if settings.kind is ProviderKind.SCRIPTED:
        yield from _script_faults(settings)
        return
    for fault in base_url_faults(
        settings.base_url, allow_http=settings.allow_http, allow_private_network=settings.allow_private_network
    ):
        yield f"base_url: {fault}"
    if call := _doubled_path(settings):
        yield f"base_url: ends with {call}, which is added to it"
    if settings.ca_file is not None and not _holds_certificates(settings.ca_file):
        yield "ca_file: holds no certificate, or cannot be read"
    if settings.auth.key is not None:
        yield from _reference_faults("auth.key", settings.auth.key, env)
    yield from header_faults(settings)
    for name, value in settings.extra_headers.items():
        if is_reference(value):
            yield from _reference_faults(f"extra_headers.{name}", value, env)


def _doubled_path(settings: ProviderSettings) -> str | None:
    """The path of the call, where the base URL has it too."""
    configured, call = {
        ProviderKind.OPENAI_CHAT: (settings.chat_path, "/chat/completions"),
        ProviderKind.OPENAI_RESPONSES: (settings.responses_path, "/responses"),
        ProviderKind.ANTHROPIC: (None, "/messages"),
        ProviderKind.INFERENCE_HTTP: (None, settings.generate_path),
    }[settings.kind]
    is_doubled = configured is None and bool(call) and settings.base_url.rstrip("/").endswith(call)
    return call if is_doubled else None


def _script_faults(settings: ProviderSettings) -> Iterator[str]:
    if settings.script is None:
        return
    try:
        load_script(settings.script)
    except InvalidScript as invalid:
        yield from (f"script: {fault}" for fault in invalid.faults)


def _holds_certificates(ca_file: str) -> bool:
    try:
        trusting(ca_file)
    except OSError:
        return False
    return True


def _reference_faults(setting: str, reference: str, env: Mapping[str, str]) -> Iterator[str]:
    try:
        resolve_for_header(reference, env)
    except UnusableReference as fault:
        yield f"{setting}: {fault}"
