from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from app.config_layers import Mistakes, env_name
from app.config_schema import leaves_of
from app.settings import AuthMode, Settings, load_settings
from domain.catalogue.models import Tier
from domain.context.tool_texts import FILE_SEARCH_GUARD
from domain.tools.calls import ToolLimits
from infra.providers.settings import ProviderKind

JWT = {
    "MINI_CHAT_AUTH_MODE": "jwt",
    "MINI_CHAT_AUTH_JWT_ISSUER": "https://id.example.com",
    "MINI_CHAT_AUTH_JWT_AUDIENCE": "mini-chat, other",
    "MINI_CHAT_AUTH_JWT_JWKS_URL": "https://id.example.com/jwks",
    "MINI_CHAT_SECRETS_SIGNING_KEY": "env:MINI_CHAT_THE_KEY",
    "MINI_CHAT_THE_KEY": "x",
}


def loaded(toml: str = "", env: dict[str, str] | None = None, **flags: object) -> Settings:
    path = Path("settings.toml")
    if toml:
        path.write_text(toml)
    return load_settings(path if toml else None, env or {}, {name.replace("__", "."): v for name, v in flags.items()})


def mistakes(toml: str = "", env: dict[str, str] | None = None, **flags: object) -> list[str]:
    with pytest.raises(Mistakes) as refused:
        loaded(toml, env, **flags)
    return list(refused.value.lines)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_nothing_needs_to_be_set() -> None:
    assert loaded() == Settings()


def test_later_sources_win_key_by_key() -> None:
    toml = 'url_prefix = "/file"\n[http]\nport = 1\nworkers = 2\nhost = "::1"\n'
    settings = loaded(toml, {"MINI_CHAT_HTTP_PORT": "2", "MINI_CHAT_HTTP_WORKERS": "3"}, http__port=3, http__host=None)
    assert (settings.url_prefix, settings.http.host, settings.http.workers, settings.http.port) == (
        "/file",
        "::1",
        3,
        3,
    )


def test_every_variable_means_one_setting() -> None:
    names = [env_name(path) for path in leaves_of(Settings)]
    assert len(names) == len(set(names))
    assert {
        "MINI_CHAT_DATABASE_URL",
        "MINI_CHAT_TURN_REAPER_INTERVAL",
        "MINI_CHAT_AUTH_DEV_UNSAFE_ALLOW_NON_LOOPBACK",
        "MINI_CHAT_PG_BIN",
        "MINI_CHAT_MODELS",
    } <= set(names)


def durations() -> list[str]:
    return [
        ".".join(path)
        for path in leaves_of(Settings)
        if isinstance(getattr(getattr(Settings(), path[0]), path[-1], None), timedelta)
    ]


@pytest.mark.parametrize("name", durations())
def test_every_deadline_can_be_set_to_milliseconds(name: str) -> None:
    section, key = name.split(".")
    env = {
        "MINI_CHAT_TURN_HEARTBEAT": "1ms",
        "MINI_CHAT_TURN_LEASE": "60ms" if name == "turn.blind_limit" else "1s",
        env_name((section, key)): "90ms",
    }
    assert getattr(getattr(loaded(env=env), section), key) == timedelta(milliseconds=90)


def test_variables_are_read_as_the_type_of_their_key() -> None:
    settings = loaded(
        env={
            **JWT,
            "MINI_CHAT_AUTH_DEV_UNSAFE_ALLOW_NON_LOOPBACK": "true",
            "MINI_CHAT_DATA_DIR": "/data",
            "MINI_CHAT_DATABASE_URL": "",
            "MINI_CHAT_URL_PREFIX": "",
            "MINI_CHAT_MODELS": '[{"id": "m", "provider_id": "p", "provider_model_id": "r", "tier": "premium"}]',
        }
    )
    assert settings.auth.mode is AuthMode.JWT
    assert settings.auth.jwt.audience == ("mini-chat", "other")
    assert settings.auth.dev.unsafe_allow_non_loopback
    assert settings.data_dir == Path("/data")
    assert settings.database.url is None
    assert settings.url_prefix == ""
    assert settings.models[0].tier is Tier.PREMIUM


def test_a_provider_can_be_described_by_variables_alone_or_on_top_of_the_file() -> None:
    toml = '[providers.local]\nkind = "openai_chat"\nbase_url = "https://a.example.com"\n'
    settings = loaded(
        toml,
        {
            "MINI_CHAT_PROVIDERS__LOCAL__BASE_URL": "https://b.example.com",
            "MINI_CHAT_PROVIDERS__MY_VLLM__KIND": "openai_chat",
            "MINI_CHAT_PROVIDERS__MY_VLLM__AUTH__KEY": "env:MINI_CHAT_VLLM_KEY",
            "MINI_CHAT_PROVIDERS__MY_VLLM__EXTRA_HEADERS": '{"X-Team": "chat"}',
            "MINI_CHAT_VLLM_KEY": "x",
        },
    )
    assert settings.providers["local"].kind is ProviderKind.OPENAI_CHAT
    assert settings.providers["local"].base_url == "https://b.example.com"
    assert settings.providers["my_vllm"].auth.key == "env:MINI_CHAT_VLLM_KEY"
    assert settings.providers["my_vllm"].extra_headers == {"X-Team": "chat"}


def test_members_of_requests_are_taken_as_they_are_from_file_and_variable() -> None:
    members = {"top_k": 40, "guided": {"choice": ["a", "b"]}, "flag": True, "share": 0.5}
    table = '{ top_k = 40, guided = { choice = ["a", "b"] }, flag = true, share = 0.5 }'
    toml = (
        f'[providers.one]\nkind = "openai_chat"\nbase_url = "https://a.example.com"\nextra_body = {table}\n'
        f'[[models]]\nid = "m"\nprovider_id = "one"\nprovider_model_id = "r"\napi_params = {{ extra_body = {table} }}\n'
    )
    settings = loaded(toml, {})
    assert settings.providers["one"].extra_body == members
    assert settings.models[0].api_params == {"extra_body": members}
    variable = {"MINI_CHAT_PROVIDERS__ONE__EXTRA_BODY": msgspec.json.encode(members).decode()}
    assert loaded(toml.replace(f"extra_body = {table}\n", ""), variable).providers["one"].extra_body == members


def test_a_model_has_the_common_deadlines_except_for_its_own() -> None:
    entry = '[[models]]\nid = "{0}"\nprovider_id = "p"\nprovider_model_id = "r"\n'
    toml = '[deadline]\nfirst_byte = "7s"\nconnect = "70ms"\n' + entry.format("a") + entry.format("b")
    plain, own = loaded(toml + 'deadlines = { headers = "30s", idle = "1ms" }\n').models
    assert (plain.deadlines.headers, plain.deadlines.connect) == (timedelta(seconds=7), timedelta(milliseconds=70))
    assert (own.deadlines.headers, own.deadlines.connect) == (timedelta(seconds=30), timedelta(milliseconds=70))
    assert own.deadlines.idle == timedelta(milliseconds=1)


def test_all_mistakes_are_told_at_once_with_key_and_source() -> None:
    toml = """
        url_prefix = "no-slash"
        top = 1
        [turn]
        leese = "3s"
        [streaming]
        channel_capacity = 65
        ping_interval = 15
        [http]
        port = "8080"
        [database]
        url = { host = "x" }
        [providers.x]
        kind = "nonsense"
        [[models]]
        id = "m"
        provider_id = "p"
        deadlines = { headers = "soon" }
    """
    env = {"MINI_CHAT_TURN_LEASE": "2m", "MINI_CHAT_HTPP_PORT": "1", "MINI_CHAT_ESTIMATION_MARGIN_PCT": "ten"}
    assert set(mistakes(toml, env, http__workers=0)) == {
        "MINI_CHAT_HTPP_PORT: no such setting; did you mean MINI_CHAT_HTTP_PORT?",
        "url_prefix (settings.toml): expected str matching regex '^(/[A-Za-z0-9._~-]+)*$'",
        "top (settings.toml): no such key",
        "turn.leese (settings.toml): no such key; did you mean turn.lease?",
        "turn.lease (MINI_CHAT_TURN_LEASE): expected a duration from 30ms to 90s",
        "streaming.channel_capacity (settings.toml): expected int <= 64",
        "streaming.ping_interval (settings.toml): expected a duration such as 250ms, 30s, 10m, 1h or 1d",
        "http.port (settings.toml): expected int, got str",
        "http.workers (--workers): expected int >= 1",
        "database.url (settings.toml): expected str | null, got object",
        "providers.x.kind (settings.toml): invalid enum value 'nonsense'",
        "estimation.margin_pct (MINI_CHAT_ESTIMATION_MARGIN_PCT): expected int, got str",
        "models[0].provider_model_id: is required",
        "models[0].deadlines.headers (settings.toml): expected a duration such as 250ms, 30s, 10m, 1h or 1d",
    }


def test_values_that_do_not_go_together_are_refused() -> None:
    toml = '[turn]\nlease = "12s"\nblind_limit = "11s"\n[auth.jwt]\njwks_url = "http://id.example.com"\n'
    assert mistakes(toml, {"MINI_CHAT_TURN_HEARTBEAT": "4001ms"}) == [
        "turn.heartbeat (MINI_CHAT_TURN_HEARTBEAT): must be at most a third of turn.lease",
        "turn.blind_limit (settings.toml): must be at least turn.lease",
        "auth.jwt.jwks_url (settings.toml): must be an https address (http only on this machine)",
    ]


def test_a_summary_is_made_of_no_more_of_a_message_than_a_statement_carries() -> None:
    assert loaded(env={"MINI_CHAT_SUMMARY_MESSAGE_CHARS": "100000"}).summary.message_chars == 100_000
    (line,) = mistakes(env={"MINI_CHAT_SUMMARY_MESSAGE_CHARS": "100001"})
    assert line.startswith("summary.message_chars")


@pytest.mark.parametrize(
    ("missing", "line"),
    [
        ("AUTH_JWT_ISSUER", "auth.jwt.issuer: is required when auth.mode is jwt"),
        ("AUTH_JWT_AUDIENCE", "auth.jwt.audience: is required when auth.mode is jwt"),
        ("AUTH_JWT_JWKS_URL", "auth.jwt.jwks_url: exactly one of jwks_url and key_file is required"),
        ("SECRETS_SIGNING_KEY", "secrets.signing_key: is required when auth.mode is jwt"),
    ],
)
def test_production_names_what_it_misses(missing: str, line: str) -> None:
    env = {name: value for name, value in JWT.items() if name not in {f"MINI_CHAT_{missing}", "MINI_CHAT_THE_KEY"}}
    assert mistakes(env=env) == [line]


def test_scripts_are_for_development() -> None:
    script = {"MINI_CHAT_PROVIDERS__MOCK__KIND": "scripted", "MINI_CHAT_PROVIDERS__MOCK__SCRIPT": "script.json"}
    assert loaded(env=script).providers["mock"].script == Path("script.json")
    (line,) = mistakes(env={**JWT, **script})
    assert line.startswith("providers.mock.script")
    assert line.endswith(": is for development and tests: auth.mode must be dev")


@pytest.mark.parametrize("url", ["localhost:6379", "http://redis", "redis://", "redis://host:port/0", "unix:///redis"])
def test_a_redis_address_names_its_protocol_and_a_host(url: str) -> None:
    assert mistakes(env={"MINI_CHAT_REDIS_URL": url}) == [
        "redis.url (MINI_CHAT_REDIS_URL): must begin with redis:// or rediss:// and name a host"
    ]


def test_symmetric_algorithms_cannot_be_allowed() -> None:
    for algorithm in ("HS256", "none"):
        (line,) = mistakes(env={**JWT, "MINI_CHAT_AUTH_JWT_ALGORITHMS": algorithm})
        assert line.startswith("auth.jwt.algorithms (MINI_CHAT_AUTH_JWT_ALGORITHMS): ")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "chat.example.com"])  # noqa: S104 - nothing is bound
def test_development_mode_stays_on_this_machine(host: str) -> None:
    (line,) = mistakes(http__host=host)
    assert line.startswith("http.host (--host): must be a loopback address when auth.mode is dev")
    assert "auth.dev.unsafe_allow_non_loopback" in line
    exposed = loaded(env={"MINI_CHAT_AUTH_DEV_UNSAFE_ALLOW_NON_LOOPBACK": "true"}, http__host=host)
    assert not exposed.answers_loopback_names_only
    assert not loaded(env=JWT, http__host=host).answers_loopback_names_only


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_development_mode_answers_loopback_names_only(host: str) -> None:
    assert loaded(http__host=host).answers_loopback_names_only


def test_a_secret_given_by_reference_may_sit_in_a_variable_of_any_name() -> None:
    assert loaded(env=JWT).secrets.signing_key == "env:MINI_CHAT_THE_KEY"
    toml = '[secrets]\nsigning_key = "env:MINI_CHAT_THE_KEY"\n'
    assert loaded(toml, {"MINI_CHAT_THE_KEY": "x"}).secrets.signing_key == "env:MINI_CHAT_THE_KEY"
    assert mistakes(env={"MINI_CHAT_THE_KEY": "x"}) == ["MINI_CHAT_THE_KEY: no such setting"]


def test_what_kubernetes_puts_into_a_pod_is_no_mistake() -> None:
    env = {
        "MINI_CHAT_SERVICE_HOST": "10.0.0.1",
        "MINI_CHAT_SERVICE_PORT": "80",
        "MINI_CHAT_SERVICE_PORT_HTTP": "80",
        "MINI_CHAT_PORT": "tcp://10.0.0.1:80",
        "MINI_CHAT_PORT_80_TCP": "tcp://10.0.0.1:80",
        "MINI_CHAT_PORT_80_TCP_PORT": "80",
        "MINI_CHAT_ADMIN_SERVICE_HOST": "10.0.0.2",
    }
    assert loaded(env=env) == Settings()
    assert mistakes(env={"MINI_CHAT_PORT": "8080"}) == [
        "MINI_CHAT_PORT: no such setting; did you mean MINI_CHAT_HTTP_PORT?"
    ]


def test_a_secret_is_never_given_literally_nor_repeated() -> None:
    (line,) = mistakes(env={"MINI_CHAT_SECRETS_SIGNING_KEY": "hunter2"})
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"a = ", "settings.toml: Invalid value (at end of document)"),
        (b"\xff", "settings.toml: is not UTF-8"),
    ],
)
def test_a_file_that_is_no_toml_is_told(content: bytes, line: str) -> None:
    Path("settings.toml").write_bytes(content)
    with pytest.raises(Mistakes) as refused:
        load_settings(Path("settings.toml"), {}, {})
    assert refused.value.lines == (line,)


def test_a_missing_file_is_told() -> None:
    with pytest.raises(Mistakes) as refused:
        load_settings(Path("nowhere.toml"), {}, {})
    assert refused.value.lines == ("nowhere.toml: No such file or directory",)


def test_two_models_may_not_share_an_id_or_both_be_the_default() -> None:
    entry = '[[models]]\nid = "{0}"\nprovider_id = "p"\nprovider_model_id = "r"\nis_default = true\n'
    assert mistakes(entry.format("a") * 2) == [
        "models (settings.toml): two entries share an id",
        "models (settings.toml): two entries are the default",
    ]


def test_a_guard_is_at_most_four_kibibytes_of_utf8() -> None:
    assert loaded(context__web_search_guard="é" * 2_048).context.web_search_guard == "é" * 2_048
    assert mistakes(context__file_search_guard="é" * 2_049) == [
        "context.file_search_guard (--file_search_guard): must not be longer than 4096 bytes"
    ]


def test_a_guard_that_is_not_set_is_the_built_in_one_and_an_empty_one_says_nothing() -> None:
    guards = loaded(context__web_search_guard="").context.guards()
    assert (guards.web_search, guards.file_search) == ("", FILE_SEARCH_GUARD)


def test_limits_of_tools_come_from_the_settings() -> None:
    rules = loaded(quota__web_search_daily=9, quota__file_search_per_message=3).quota.rules()
    assert rules.tools == ToolLimits(web_search_daily=9, file_search_per_message=3)
