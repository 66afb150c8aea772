import pytest

from infra.catalogue.validation import validate_catalogue
from infra.providers.defaults import ANTHROPIC, AZURE_OPENAI, OPENAI, defaults_from_environment
from infra.providers.registry import SCRIPTED
from infra.providers.setting_faults import provider_faults
from infra.providers.settings import Flavour, ProviderKind


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"OPENAI_API_KEY": "sk"},
        {"OPENAI_API_KEY": "sk", "MINI_CHAT_OPENAI_MODELS": "gpt, big=org/Model:7b"},
        {"OPENAI_BASE_URL": "http://127.0.0.1:11434/v1", "MINI_CHAT_OPENAI_MODELS": "llama"},
        {"ANTHROPIC_API_KEY": "sk", "MINI_CHAT_ANTHROPIC_MODELS": "claude"},
        {
            "OPENAI_API_KEY": "a",
            "ANTHROPIC_API_KEY": "b",
            "MINI_CHAT_OPENAI_MODELS": "x",
            "MINI_CHAT_ANTHROPIC_MODELS": "y",
        },
    ],
)
def test_whatever_the_environment_the_defaults_are_valid(env: dict[str, str]) -> None:
    providers, models = defaults_from_environment(env)
    assert validate_catalogue(models, {id_: each.kind for id_, each in providers.items()}) == []


def test_without_anything_the_mock_is_the_default() -> None:
    providers, models = defaults_from_environment({})
    assert list(providers) == [SCRIPTED]
    assert (models[0].id, models[0].is_default) == ("mock", True)


def test_a_key_alone_adds_the_provider_and_changes_no_default() -> None:
    providers, models = defaults_from_environment({"OPENAI_API_KEY": "sk"})
    openai = providers[OPENAI]
    assert (openai.kind, openai.flavour) == (ProviderKind.OPENAI_CHAT, Flavour.OPENAI)
    assert (openai.base_url, openai.auth.key) == ("https://api.openai.com/v1", "env:OPENAI_API_KEY")
    assert not openai.allow_http
    assert {model.provider_id for model in models} == {SCRIPTED}


def test_azure_is_a_provider_once_its_key_and_its_endpoint_are_there() -> None:
    env = {"AZURE_OPENAI_API_KEY": "k", "AZURE_OPENAI_ENDPOINT": "https://team.openai.azure.com/"}
    assert set(defaults_from_environment(env)[0]) == {SCRIPTED, AZURE_OPENAI}
    for name, value in env.items():
        assert set(defaults_from_environment({name: value})[0]) == {SCRIPTED}
    providers, models = defaults_from_environment(env)
    azure = providers[AZURE_OPENAI]
    assert (azure.kind, azure.flavour) == (ProviderKind.OPENAI_RESPONSES, Flavour.AZURE)
    assert (azure.base_url, azure.auth.key) == ("https://team.openai.azure.com/", "env:AZURE_OPENAI_API_KEY")
    assert not list(provider_faults(azure, env))
    assert {model.provider_id for model in models} == {SCRIPTED}


def test_named_models_come_first_and_the_first_is_the_default() -> None:
    env = {"OPENAI_API_KEY": "sk", "MINI_CHAT_OPENAI_MODELS": " meta/Llama-3 ,, fast=gpt-x "}
    _, models = defaults_from_environment(env)
    assert [(model.id, model.provider_model_id, model.is_default) for model in models[:3]] == [
        ("meta-Llama-3", "meta/Llama-3", True),
        ("fast", "gpt-x", False),
        ("mock", "mock-ttft200-itl20-len60", False),
    ]


@pytest.mark.parametrize(
    ("url", "allowed"),
    [("http://localhost:11434/v1", True), ("http://127.0.0.1:8000", True), ("http://gpu.lan/v1", False)],
)
def test_only_this_machine_is_trusted_without_being_asked(url: str, allowed: bool) -> None:
    openai = defaults_from_environment({"OPENAI_BASE_URL": url})[0][OPENAI]
    assert (openai.allow_http, openai.allow_private_network) == (allowed, allowed)
    assert (openai.auth.key, openai.flavour) == (None, Flavour.GENERIC)


def test_the_messages_api_is_called_as_its_own_client_would() -> None:
    providers, models = defaults_from_environment({"ANTHROPIC_API_KEY": "sk"})
    anthropic = providers[ANTHROPIC]
    assert (anthropic.kind, anthropic.base_url) == (ProviderKind.ANTHROPIC, "https://api.anthropic.com")
    assert (anthropic.auth.key, anthropic.allow_http) == ("env:ANTHROPIC_API_KEY", False)
    assert {model.provider_id for model in models} == {SCRIPTED}
    local = defaults_from_environment({"ANTHROPIC_BASE_URL": "http://127.0.0.1:9000"})[0][ANTHROPIC]
    assert (local.allow_http, local.auth.key) == (True, None)


def test_of_two_named_families_the_first_named_model_is_the_default() -> None:
    env = {"OPENAI_API_KEY": "a", "ANTHROPIC_API_KEY": "b", "MINI_CHAT_ANTHROPIC_MODELS": "opus=claude-x"}
    first = defaults_from_environment(env)[1][0]
    assert (first.id, first.provider_id, first.provider_model_id, first.is_default) == (
        "opus",
        ANTHROPIC,
        "claude-x",
        True,
    )
    models = defaults_from_environment(env | {"MINI_CHAT_OPENAI_MODELS": "gpt"})[1]
    assert [(model.provider_id, model.is_default) for model in models[:2]] == [(OPENAI, True), (ANTHROPIC, False)]


@pytest.mark.parametrize(
    ("env", "searching"),
    [
        ({}, {"mock-tools"}),
        ({"ANTHROPIC_API_KEY": "k", "MINI_CHAT_ANTHROPIC_MODELS": "claude"}, {"mock-tools", "claude"}),
        ({"ANTHROPIC_BASE_URL": "http://127.0.0.1:9000", "MINI_CHAT_ANTHROPIC_MODELS": "claude"}, {"mock-tools"}),
        ({"OPENAI_API_KEY": "k", "MINI_CHAT_OPENAI_MODELS": "gpt"}, {"mock-tools"}),
    ],
)
def test_models_search_the_web_where_it_is_known_that_they_can(env: dict[str, str], searching: set[str]) -> None:
    models = defaults_from_environment(env)[1]
    assert {model.id for model in models if model.tool_support.web_search} == searching
