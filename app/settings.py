"""Everything an operator may set, with its default and its range (docs/configuration.md)."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from app.config_layers import from_environment, from_file, from_flags, overlay
from app.config_reader import Read, agree, read
from app.durations import Between, duration
from domain.auth.loopback import is_loopback
from domain.catalogue.models import Estimation, ModelSpec
from domain.chats.service import RESTORABLE_FOR
from domain.context.tool_texts import Guards
from domain.limits.rates import Quotas
from domain.providers.request import Deadlines
from domain.quotas.limits import LimitMicro, Limits, TierLimits
from domain.quotas.models import QuotaRules
from domain.summaries.trigger import SummaryRules
from domain.titles.models import TitleMode
from domain.tools.calls import ToolLimits
from infra.auth.claims import ClaimNames
from infra.providers.settings import ProviderSettings

_KIB = 1024
_MIB = 1024 * _KIB

MILLISECOND = duration("1ms")
NONE = timedelta(0)

Prefix = Annotated[str, Meta(pattern=r"^(/[A-Za-z0-9._~-]+)*$")]
Deadline = Annotated[timedelta, Between(MILLISECOND, duration("1h"))]
Reference = Annotated[str, Meta(pattern=r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$")]
Quota = Annotated[int, Meta(ge=0, le=1_000_000)]
Calls = Annotated[int, Meta(ge=1, le=32_767)]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]


_EXPOSED_DEV_MODE = (
    "must be a loopback address when auth.mode is dev, which asks nobody for a credential; "
    "set auth.mode to jwt (auth.dev.unsafe_allow_non_loopback lifts the rule)"
)


def _is_postgres(url: str | None) -> bool:
    return url is None or url.startswith(("postgresql://", "postgres://", "postgresql+asyncpg://"))


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def _is_redis(url: str | None) -> bool:
    if url is None:
        return True
    try:
        parts = urlsplit(url)
        return parts.scheme in {"redis", "rediss"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_safe_address(url: str | None) -> bool:
    if url is None:
        return True
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8080
    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    head_timeout: Deadline = duration("10s")
    max_body_bytes: Annotated[int, Meta(ge=_KIB, le=256 * _MIB)] = 16 * _MIB
    body_idle_timeout: Deadline = duration("30s")
    trusted_proxies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        agree((all(map(_is_network, self.trusted_proxies)), "trusted_proxies", "must be networks such as 10.0.0.0/8"))


class UserLimitSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    requests_per_minute: Quota = 6000
    sends_per_minute: Quota = 600
    max_running_turns: Quota = 64


class TenantLimitSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """But for `system_daily_credits_micro`, of which 0 admits nothing."""

    sends_per_minute: Quota = 6000
    max_running_turns: Quota = 1000
    system_daily_credits_micro: LimitMicro = 50_000_000


class AddressLimitSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Counted by each process for itself: an attacker shall not fill a store that all share."""

    failures_per_minute: Quota = 300


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """0 is no limit (engine.md 4.10)."""

    user: UserLimitSettings = UserLimitSettings()
    tenant: TenantLimitSettings = TenantLimitSettings()
    address: AddressLimitSettings = AddressLimitSettings()

    def quotas(self) -> Quotas:
        return Quotas(
            requests=self.user.requests_per_minute,
            sends=self.user.sends_per_minute,
            tenant_sends=self.tenant.sends_per_minute,
            active_turns=self.user.max_running_turns,
            tenant_active_turns=self.tenant.max_running_turns,
        )


class DatabaseSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without a url `serve` starts the embedded PostgreSQL. Migrations use `url` unless `migration_url` is given."""

    url: str | None = None
    migration_url: str | None = None
    audit_url: str | None = None
    pool_size: Annotated[int, Meta(ge=2, le=200)] = 10
    pool_reserved: Annotated[int, Meta(ge=1, le=20)] = 2
    statement_timeout: Deadline = duration("3s")
    lock_timeout: Deadline = duration("2s")
    idle_in_tx_timeout: Deadline = duration("10s")
    acquire_timeout: Deadline = duration("2s")

    def __post_init__(self) -> None:
        agree(
            (_is_postgres(self.url), "url", "must begin with postgresql://"),
            (_is_postgres(self.migration_url), "migration_url", "must begin with postgresql://"),
            (_is_postgres(self.audit_url), "audit_url", "must begin with postgresql://"),
            (
                self.url is not None or self.migration_url is None,
                "migration_url",
                "makes no sense without database.url",
            ),
        )


class RedisSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without a url the process works without Redis: it is an accelerator between processes and holds no truth."""

    url: str | None = None
    timeout: Annotated[timedelta, Between(MILLISECOND, duration("5s"))] = duration("100ms")

    def __post_init__(self) -> None:
        agree((_is_redis(self.url), "url", "must begin with redis:// or rediss:// and name a host"))


class StreamingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    channel_capacity: Annotated[int, Meta(ge=16, le=64)] = 32
    ping_interval: Annotated[timedelta, Between(MILLISECOND, duration("60s"))] = duration("15s")
    send_deadline: Deadline = duration("30s")
    reader_deadline: Deadline = duration("5s")
    max_readers: Annotated[int, Meta(ge=1, le=1000)] = 8
    follow_interval: Deadline = duration("1s")


class TurnSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    lease: Annotated[timedelta, Between(duration("30ms"), duration("90s"))] = duration("20s")
    heartbeat: Annotated[timedelta, Between(MILLISECOND, duration("30s"))] = duration("5s")
    reaper_interval: Annotated[timedelta, Between(duration("10ms"), duration("25s"))] = duration("5s")
    blind_limit: Deadline = duration("30s")
    finalise_deadline: Deadline = duration("10s")
    max_running: Annotated[int, Meta(ge=1)] = 2000
    max_text_bytes: Annotated[int, Meta(ge=_KIB, le=64 * _MIB)] = 16 * _MIB

    def __post_init__(self) -> None:
        agree(
            (self.heartbeat * 3 <= self.lease, "heartbeat", "must be at most a third of turn.lease"),
            (self.blind_limit >= self.lease, "blind_limit", "must be at least turn.lease"),
        )


class DeadlineSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long each phase of a provider call may take, where a model says nothing else (engine.md 3.5)."""

    pool_wait: Deadline = duration("5s")
    connect: Deadline = duration("3s")
    write: Deadline = duration("10s")
    first_byte: Deadline = duration("30s")
    first_token: Deadline = duration("60s")
    inter_token: Deadline = duration("60s")
    tool: Deadline = duration("60s")
    total: Annotated[timedelta, Between(MILLISECOND, duration("24h"))] = duration("10m")

    def for_calls(self) -> Deadlines:
        return Deadlines(
            pool_wait=self.pool_wait,
            connect=self.connect,
            write=self.write,
            headers=self.first_byte,
            first_token=self.first_token,
            idle=self.inter_token,
            tool_idle=self.tool,
        )


class CancelSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    receipt_wait: Deadline = duration("10s")
    poll_interval: Annotated[timedelta, Between(duration("10ms"), duration("4s"))] = duration("1s")


class PolicySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without a file the catalogue is what `models` says, and stays it as long as the process runs."""

    catalog_file: Path | None = None


class SwitchSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    poll_interval: Annotated[timedelta, Between(duration("10ms"), duration("30s"))] = duration("2s")


class DrainSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    accept_window: Annotated[timedelta, Between(NONE, duration("30s"))] = duration("2s")
    turn_deadline: Annotated[timedelta, Between(MILLISECOND, duration("10m"))] = duration("25s")


class QuotaSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What each user may spend where neither its tenant nor an administrator says otherwise; 0 admits nothing."""

    total_daily_micro: LimitMicro = 100_000_000
    total_monthly_micro: LimitMicro = 1_000_000_000
    premium_daily_micro: LimitMicro = 50_000_000
    premium_monthly_micro: LimitMicro = 500_000_000
    overshoot_tolerance_pct: Annotated[int, Meta(ge=100, le=150)] = 110
    warning_threshold_pct: Annotated[int, Meta(ge=1, le=99)] = 20
    web_search_daily: Calls = 75
    web_search_per_message: Calls = 2
    code_interpreter_daily: Calls = 50
    code_interpreter_per_message: Calls = 10
    file_search_per_message: Calls = 2
    audit_interval: Annotated[timedelta, Between(MILLISECOND, duration("1d"))] = duration("1h")

    def rules(self) -> QuotaRules:
        return QuotaRules(
            defaults=Limits(
                total=TierLimits(
                    limit_daily_credits_micro=self.total_daily_micro,
                    limit_monthly_credits_micro=self.total_monthly_micro,
                ),
                premium=TierLimits(
                    limit_daily_credits_micro=self.premium_daily_micro,
                    limit_monthly_credits_micro=self.premium_monthly_micro,
                ),
            ),
            tools=ToolLimits(
                web_search_daily=self.web_search_daily,
                web_search_per_message=self.web_search_per_message,
                code_interpreter_daily=self.code_interpreter_daily,
                code_interpreter_per_message=self.code_interpreter_per_message,
                file_search_per_message=self.file_search_per_message,
            ),
            overshoot_tolerance_pct=self.overshoot_tolerance_pct,
            warning_threshold_pct=self.warning_threshold_pct,
        )


_MAX_GUARD_BYTES = 4 * _KIB
_GUARD_TOO_LONG = "must not be longer than 4096 bytes"


def _is_short(guard: str | None) -> bool:
    return guard is None or len(guard.encode()) <= _MAX_GUARD_BYTES


class ContextSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    recent_turns: Annotated[int, Meta(ge=0, le=200)] = 20
    web_search_guard: str | None = None
    file_search_guard: str | None = None

    def __post_init__(self) -> None:
        agree(
            (_is_short(self.web_search_guard), "web_search_guard", _GUARD_TOO_LONG),
            (_is_short(self.file_search_guard), "file_search_guard", _GUARD_TOO_LONG),
        )

    def guards(self) -> Guards:
        """Those that are set, else the built-in ones; an empty one says nothing."""
        own = {"web_search": self.web_search_guard, "file_search": self.file_search_guard}
        return Guards(**{tool: guard for tool, guard in own.items() if guard is not None})


class SummarySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without a `model` of its own a chat is summarised by the one it is held with."""

    enabled: bool = True
    threshold_pct: Annotated[int, Meta(ge=1, le=99)] = 80
    keep_turns: Annotated[int, Meta(ge=1, le=50)] = 4
    model: str | None = None
    prompt: Annotated[str, Meta(max_length=32_768)] = ""
    message_chars: Annotated[int, Meta(ge=200, le=100_000)] = 4_000

    def rules(self) -> SummaryRules:
        return SummaryRules(enabled=self.enabled, threshold_pct=self.threshold_pct, keep_turns=self.keep_turns)


class TitleSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    mode: TitleMode = TitleMode.FIRST_LINE
    model: str | None = None


class RetentionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A deleted chat can be restored for `deleted_chats`; zero turns restoring off."""

    deleted_chats: Annotated[timedelta, Between(NONE, duration("3650d"))] = RESTORABLE_FOR


def _is_sink(address: str | None) -> bool:
    return address is None or address.startswith(("file:", "http://", "https://", "stream:"))


_SINKS = "must be file:/path, https://… or stream:NAME"


class AuditSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Events are kept here for `retention`; with a sink they are handed on as well."""

    sink: str | None = None
    retention: Annotated[timedelta, Between(MILLISECOND, duration("3650d"))] = duration("90d")

    def __post_init__(self) -> None:
        agree((_is_sink(self.sink), "sink", _SINKS))


class UsageSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    sink: str | None = None

    def __post_init__(self) -> None:
        agree((_is_sink(self.sink), "sink", _SINKS))


class ExportSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How sinks are reached. The key signs what goes to a webhook."""

    signing_key: Reference | None = None
    timeout: Deadline = duration("10s")
    allow_http: bool = False
    allow_private_network: bool = False
    stream_max_length: Annotated[int, Meta(ge=1_000, le=100_000_000)] = 1_000_000
    fsync: bool = True


class JobSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    embedded: bool = True
    batch: Annotated[int, Meta(ge=1, le=500)] = 32
    per_tenant: Annotated[int, Meta(ge=1, le=64)] = 4
    poll: Annotated[timedelta, Between(duration("10ms"), duration("10s"))] = duration("500ms")
    lease: Annotated[timedelta, Between(duration("10ms"), duration("10m"))] = duration("60s")
    drain: Annotated[timedelta, Between(NONE, duration("10m"))] = duration("5s")
    retention: Annotated[timedelta, Between(MILLISECOND, duration("365d"))] = duration("3d")


class AuthMode(StrEnum):
    DEV = "dev"
    JWT = "jwt"


class JwtSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    issuer: str = ""
    audience: tuple[str, ...] = ()
    algorithms: tuple[Algorithm, ...] = ("RS256", "ES256")
    jwks_url: str | None = None
    key_file: Path | None = None
    leeway: Annotated[timedelta, Between(NONE, duration("60s"))] = duration("10s")
    claims: ClaimNames = ClaimNames()
    fetch_deadline: Deadline = duration("2s")
    keys_refresh_after: Annotated[timedelta, Between(MILLISECOND, duration("1d"))] = duration("5m")
    keys_usable_for: Annotated[timedelta, Between(MILLISECOND, duration("1d"))] = duration("1h")
    fetch_pause: Annotated[timedelta, Between(MILLISECOND, duration("10m"))] = duration("5s")

    def __post_init__(self) -> None:
        agree(
            (bool(self.algorithms), "algorithms", "must name at least one"),
            (_is_safe_address(self.jwks_url), "jwks_url", "must be an https address (http only on this machine)"),
            (
                self.keys_refresh_after <= self.keys_usable_for,
                "keys_refresh_after",
                "must be at most auth.jwt.keys_usable_for",
            ),
        )


class DevAuthSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The flag lets anyone who reaches the port act as the development user."""

    unsafe_allow_non_loopback: bool = False


class AuthSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    mode: AuthMode = AuthMode.DEV
    jwt: JwtSettings = JwtSettings()
    dev: DevAuthSettings = DevAuthSettings()

    def __post_init__(self) -> None:
        needed = self.mode is AuthMode.JWT
        sources = (self.jwt.jwks_url is not None) + (self.jwt.key_file is not None)
        agree(
            (bool(self.jwt.issuer) or not needed, "jwt.issuer", "is required when auth.mode is jwt"),
            (bool(self.jwt.audience) or not needed, "jwt.audience", "is required when auth.mode is jwt"),
            (sources == 1 or not needed, "jwt.jwks_url", "exactly one of jwks_url and key_file is required"),
        )


class SecretSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """References (`env:NAME`, `file:/path`) to the keys that sign cursors; the previous one still verifies."""

    signing_key: Reference | None = None
    previous_signing_key: Reference | None = None


class LoggingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    level: Literal["debug", "info", "warning", "error"] = "info"


class TelemetrySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without an endpoint nothing is exported."""

    otlp_endpoint: Annotated[str, Meta(pattern=r"^https?://[^\s?#]+$")] | None = None
    service_name: Annotated[str, Meta(min_length=1, max_length=128)] = "mini-chat"
    export_deadline: Annotated[timedelta, Between(MILLISECOND, duration("10s"))] = duration("3s")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url_prefix: Prefix = "/mini-chat"
    gateway_prefix: Prefix = ""
    data_dir: Path = Path(".mini-chat")
    pg_bin: Path | None = None
    http: HttpSettings = HttpSettings()
    database: DatabaseSettings = DatabaseSettings()
    redis: RedisSettings = RedisSettings()
    limits: LimitSettings = LimitSettings()
    streaming: StreamingSettings = StreamingSettings()
    turn: TurnSettings = TurnSettings()
    deadline: DeadlineSettings = DeadlineSettings()
    cancel: CancelSettings = CancelSettings()
    policy: PolicySettings = PolicySettings()
    switches: SwitchSettings = SwitchSettings()
    drain: DrainSettings = DrainSettings()
    context: ContextSettings = ContextSettings()
    summary: SummarySettings = SummarySettings()
    titles: TitleSettings = TitleSettings()
    retention: RetentionSettings = RetentionSettings()
    estimation: Estimation = Estimation()
    quota: QuotaSettings = QuotaSettings()
    auth: AuthSettings = AuthSettings()
    secrets: SecretSettings = SecretSettings()
    jobs: JobSettings = JobSettings()
    audit: AuditSettings = AuditSettings()
    usage: UsageSettings = UsageSettings()
    exports: ExportSettings = ExportSettings()
    logging: LoggingSettings = LoggingSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    providers: dict[str, ProviderSettings] = msgspec.field(default_factory=dict)
    models: tuple[ModelSpec, ...] = ()

    def __post_init__(self) -> None:
        ids = [model.id for model in self.models]
        agree(
            (not self.is_exposed_dev_mode, "http.host", _EXPOSED_DEV_MODE),
            (
                self.auth.mode is AuthMode.DEV or self.secrets.signing_key is not None,
                "secrets.signing_key",
                "is required when auth.mode is jwt",
            ),
            *(
                (
                    self.auth.mode is AuthMode.DEV or provider.script is None,
                    f"providers.{id_}.script",
                    "is for development and tests: auth.mode must be dev",
                )
                for id_, provider in self.providers.items()
            ),
            (not (self.models and self.policy.catalog_file), "models", "stand in policy.catalog_file already"),
            (len(ids) == len(set(ids)), "models", "two entries share an id"),
            (sum(model.is_default for model in self.models) <= 1, "models", "two entries are the default"),
        )

    @property
    def is_exposed_dev_mode(self) -> bool:
        """Whether strangers could reach a server that asks for no credential."""
        is_open = self.auth.mode is AuthMode.DEV and not is_loopback(self.http.host)
        return is_open and not self.auth.dev.unsafe_allow_non_loopback

    @property
    def answers_loopback_names_only(self) -> bool:
        """Whether requests whose Host header names another machine must be refused (DNS rebinding)."""
        return self.auth.mode is AuthMode.DEV and not self.auth.dev.unsafe_allow_non_loopback


def load_settings(file: Path | None, env: Mapping[str, str], flags: Mapping[str, object]) -> Settings:
    """Built-in values, then file, environment and flags (by dotted key). Raises Mistakes with all of them."""
    settings: Settings = read_settings(file, env, flags).struct
    return settings


def read_settings(file: Path | None, env: Mapping[str, str], flags: Mapping[str, object]) -> Read:
    """Like `load_settings`, and where each given value came from."""
    below = from_file(file) if file else {}
    from_env, unknown_variables = from_environment(env, Settings, below)
    tree = overlay(overlay(below, from_env), from_flags(flags))
    found = read(Settings, tree, unknown_variables)
    return Read(_with_common_deadlines(found.struct, found.origins), found.origins)


def _with_common_deadlines(settings: Settings, origins: Mapping[str, str]) -> Settings:
    return replace(settings, models=with_deadlines(settings.models, settings.deadline.for_calls(), origins))


def with_deadlines(
    models: tuple[ModelSpec, ...], common: Deadlines, origins: Mapping[str, str]
) -> tuple[ModelSpec, ...]:
    """Each model has the deployment's deadlines, except for those it names itself."""
    completed = []
    for index, model in enumerate(models):
        named = {
            name: getattr(model.deadlines, name)
            for name in Deadlines.__struct_fields__
            if f"models[{index}].deadlines.{name}" in origins
        }
        completed.append(replace(model, deadlines=replace(common, **named)))
    return tuple(completed)
