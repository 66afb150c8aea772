import msgspec
import pytest

from domain.clock import SystemClock
from infra.providers.adapters.scripted.adapter import ScriptedProvider
from infra.providers.registry import SCRIPTED, InvalidProviders, build_providers
from infra.providers.setting_faults import provider_faults
from infra.providers.settings import AuthSettings, ProviderKind, ProviderSettings


def test_the_scripted_provider_exists_though_nobody_configured_it() -> None:
    registry = build_providers({}, {}, SystemClock())
    assert registry.kinds == {SCRIPTED: ProviderKind.SCRIPTED}
    assert isinstance(registry.for_provider(SCRIPTED), ScriptedProvider)


def test_an_unknown_provider_is_a_bug_of_the_caller() -> None:
    with pytest.raises(KeyError):
        build_providers({}, {}, SystemClock()).for_provider("nobody")


def test_all_faults_come_together_and_show_no_secret() -> None:
    settings = {
        "one": ProviderSettings(kind=ProviderKind.OPENAI_CHAT),
        "two": ProviderSettings(
            kind=ProviderKind.OPENAI_CHAT,
            base_url="http://10.0.0.1",
            auth=AuthSettings(key="sk-literal"),
            extra_headers={"Host": "x", "authorization": "y", "X-Key": "env:NOWHERE", "X-Fine": "z"},
        ),
    }
    with pytest.raises(InvalidProviders) as refused:
        build_providers(settings, {}, SystemClock())
    assert [fault.partition(":")[0] for fault in refused.value.faults] == [
        "providers.one.base_url",
        "providers.one.base_url",
        "providers.two.base_url",
        "providers.two.base_url",
        "providers.two.auth.key",
        "providers.two.extra_headers.Host",
        "providers.two.extra_headers.authorization",
        "providers.two.extra_headers.X-Key",
    ]
    assert "sk-literal" not in str(refused.value)


def test_a_valid_provider_is_built_without_an_event_loop() -> None:
    settings = {"cloud": ProviderSettings(kind=ProviderKind.OPENAI_CHAT, base_url="https://api.example.com")}
    assert set(build_providers(settings, {}, SystemClock()).kinds) == {SCRIPTED, "cloud"}


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        *(
            (name, "x", f"extra_headers.{name}: may not be replaced")
            for name in ("content-TYPE", "ACCEPT", "user-agent")
        ),
        *((name, "x", f"extra_headers.{name}: may not be replaced") for name in ("Traceparent", "Expect", "upgrade")),
        ("", "x", "extra_headers: '' is no name of a header"),
        ("X A", "x", "extra_headers: 'X A' is no name of a header"),
        ("X-A\r\nB", "x", r"extra_headers: 'X-A\r\nB' is no name of a header"),
        ("X-A", "secret\r\nB: x", "extra_headers.X-A: must be printable"),
    ],
)
def test_headers_that_cannot_be_sent_or_would_be_sent_twice_are_refused(name: str, value: str, fault: str) -> None:
    settings = ProviderSettings(
        kind=ProviderKind.OPENAI_CHAT, base_url="https://api.example.com", extra_headers={name: value}
    )
    assert list(provider_faults(settings, {})) == [fault]


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        (ProviderKind.OPENAI_CHAT, "/chat/completions"),
        (ProviderKind.OPENAI_RESPONSES, "/responses"),
        (ProviderKind.ANTHROPIC, "/messages"),
        (ProviderKind.INFERENCE_HTTP, "/generate"),
    ],
)
def test_an_address_that_has_the_path_of_the_call_already_is_refused(kind: ProviderKind, call: str) -> None:
    settings = ProviderSettings(kind=kind, base_url=f"https://api.example.com/v1{call}/")
    assert list(provider_faults(settings, {})) == [f"base_url: ends with {call}, which is added to it"]


def test_an_address_may_be_that_of_the_call_where_nothing_is_added() -> None:
    for kind, path in ((ProviderKind.OPENAI_CHAT, "chat_path"), (ProviderKind.OPENAI_RESPONSES, "responses_path")):
        settings = msgspec.convert(
            {"kind": kind, "base_url": "https://api.example.com/chat/completions", path: ""}, ProviderSettings
        )
        assert not list(provider_faults(settings, {}))


def test_two_spellings_of_one_header_are_one_too_many() -> None:
    settings = ProviderSettings(
        kind=ProviderKind.OPENAI_CHAT, base_url="https://api.example.com", extra_headers={"X-Team": "a", "x-team": "b"}
    )
    assert list(provider_faults(settings, {})) == ["extra_headers.x-team: may not be replaced"]


@pytest.mark.parametrize(
    ("kind", "header", "prefix", "fault"),
    [
        (ProviderKind.OPENAI_CHAT, "host", None, "auth.header: is another header of ours"),
        (ProviderKind.OPENAI_CHAT, "Content-type", None, "auth.header: is another header of ours"),
        (ProviderKind.ANTHROPIC, "anthropic-version", None, "auth.header: is another header of ours"),
        (ProviderKind.OPENAI_CHAT, None, "Bearer\r\nX: ", "auth.prefix: must be printable"),
    ],
)
def test_the_key_travels_in_a_header_of_its_own(
    kind: ProviderKind, header: str | None, prefix: str | None, fault: str
) -> None:
    auth = AuthSettings(key="env:KEY", header=header, prefix=prefix)
    settings = ProviderSettings(kind=kind, base_url="https://api.example.com", auth=auth)
    assert list(provider_faults(settings, {"KEY": "sk"})) == [fault]


def test_a_header_with_a_setting_of_its_own_is_set_there() -> None:
    settings = ProviderSettings(
        kind=ProviderKind.ANTHROPIC,
        base_url="https://api.example.com",
        extra_headers={"Anthropic-Version": "2020-01-01"},
    )
    assert list(provider_faults(settings, {})) == ["extra_headers.Anthropic-Version: may not be replaced"]
