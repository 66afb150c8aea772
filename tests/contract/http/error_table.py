"""docs/errors.md, made from the table of codes: `python -m tests.contract.http.error_table > docs/errors.md`."""

import sys

from api.rest.codes import CODES, Code

_HEAD = """# Errors

Every answer with status 400 or higher is a problem document (RFC 9457, `application/problem+json`). Branch on `code`
and nothing else; `detail` is for people and may change. The server explains each code at `/problems/{code}`.
Codes marked *stream* may also end an event stream as the `code` of its `error` event.

| Status | Code | Meaning | What to do | Retry |
|---|---|---|---|---|
"""


def error_document() -> str:
    return _HEAD + "".join(map(_row, CODES.values()))


def _row(code: Code) -> str:
    name = f"`{code.code}`{' *stream*' if code.on_stream else ''}"
    return f"| {code.status} | {name} | {code.summary} | {code.remedy} | {'yes' if code.retryable else 'no'} |\n"


if __name__ == "__main__":
    sys.stdout.write(error_document())
