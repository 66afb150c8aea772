import tomllib
from pathlib import Path

from app.config_report import config_report
from app.settings import Settings, load_settings, read_settings

TOML = """
[deadline]
first_byte = "7s"
[database]
url = "postgresql://chat:hunter2@db.example.com/chat?sslpassword=hunter2"
[redis]
url = "rediss://:hunter2@redis.example.com:6380/0"
[providers.local]
kind = "openai_chat"
base_url = "https://hunter2@api.example.com"
extra_headers = { X-Key = "hunter2", X-Other = "env:OTHER" }
auth = { key = "hunter2" }
[[models]]
id = "a"
provider_id = "local"
provider_model_id = "r"
"""


def test_no_secret_is_printed(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text(TOML)
    found = read_settings(tmp_path / "settings.toml", {}, {})
    text = config_report(found.struct, found.origins)
    assert "hunter2" not in text
    assert 'url = "postgresql://chat:***@db.example.com/chat?***"  # settings.toml' in text
    assert 'url = "rediss://:***@redis.example.com:6380/0"' in text
    assert '"X-Other" = "env:OTHER"' in text


def test_what_is_printed_can_be_read_again(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text(TOML.replace("hunter2", "***"))
    settings = load_settings(tmp_path / "settings.toml", {}, {})
    report = config_report(settings, {}).replace("chat?***", "chat?sslpassword=***")
    assert tomllib.loads(report)
    (tmp_path / "again.toml").write_text(report)
    assert load_settings(tmp_path / "again.toml", {}, {}) == settings


def test_each_given_value_names_its_origin() -> None:
    found = read_settings(None, {"MINI_CHAT_TURN_LEASE": "15s"}, {"http.port": 9000})
    lines = config_report(found.struct, found.origins).splitlines()
    assert 'lease = "15s"  # MINI_CHAT_TURN_LEASE' in lines
    assert "port = 9000  # --port" in lines
    assert 'heartbeat = "5s"' in lines


def test_the_built_in_values_are_a_valid_file(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text(config_report(Settings(), {}))
    assert load_settings(tmp_path / "settings.toml", {}, {}) == Settings()
