"""What must never stand in a log line, whoever wrote the line (engine.md 7.3)."""

import re
from collections.abc import Mapping

MAX_CHARS = 512

_READ_CHARS = 8 * 1024

_SECRET_FIELDS = frozenset(
    {"authorization", "cookie", "token", "password", "secret", "api_key", "key", "dsn"}
    | {"content", "prompt", "text", "instructions", "answer", "body", "filename", "file_name"}
)
_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("pem_private_key", r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*"),
        ("jwt", r"\beyJ[\w-]{5,}\.[\w-]+\.[\w-]*"),
        ("bearer_token", r"(?i:\bbearer\s+)[\w.~+/=-]{4,}"),
        ("url_credentials", r"(?<=://)[^\s/@]+(?=@)"),
        ("openai_api_key", r"\bsk-[\w-]{8,}"),
        ("aws_access_key_id", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
        ("password_fields", r"(?i:\b(?:password|passwd|pwd|sslpassword)['\"]?\s*[=:]\s*)[^\s,;&]+"),
        ("api_key_fields", r"(?i:\b(?:api[-_]?key|secret|access[-_]?token)['\"]?\s*[=:]\s*)[^\s,;&]+"),
        ("long_base64_like", r"[A-Za-z0-9+/_=-]{201,}"),
    )
)
_ANY_PATTERN = re.compile("|".join(f"(?:{pattern.pattern})" for _, pattern in _PATTERNS))


def redacted(text: str) -> str:
    """The first line, printable, without anything that looks like a credential, cut to 512 characters.

    Further lines are dropped: there libraries put the repr of exceptions, which may quote a prompt.
    """
    line = text[:_READ_CHARS].split("\n", 1)[0]
    if _ANY_PATTERN.search(line):
        for name, pattern in _PATTERNS:
            line = pattern.sub(f"[REDACTED:{name}]", line)
    if not line.isprintable():
        line = "".join(char if char.isprintable() else "\ufffd" for char in line)
    return line if len(line) <= MAX_CHARS else line[: MAX_CHARS - 1] + "…"


def redacted_fields(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: _redacted_value(name, value) for name, value in fields.items()}


def _redacted_value(name: str, value: object) -> object:
    if name.lower() in _SECRET_FIELDS:
        return "[REDACTED]"
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return redacted(value)
        case dict():
            return {redacted(str(key)): _redacted_value(str(key), item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_redacted_value("", item) for item in value]
        case _:
            return redacted(str(value))
