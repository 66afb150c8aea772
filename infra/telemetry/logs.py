"""Log lines: one JSON object each on stdout, tied to request and trace, free of secrets and prompts.

Whoever logs uses structlog or the standard library, as suits its layer; both end here, and so do the
lines of uvicorn, SQLAlchemy and asyncio. On a terminal the same fields come in a form for people.
"""

import logging
import sys
from typing import Literal, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, ProcessorReturnValue, WrappedLogger

from domain.clock import SystemClock, utc_text
from domain.telemetry.correlation import current_correlation
from infra.telemetry.redaction import redacted_fields
from infra.telemetry.tracebacks import logged_errors

Level = Literal["debug", "info", "warning", "error"]

_CHATTY = ("alembic", "uvicorn", "sqlalchemy", "aiohttp.access", "asyncio", "opentelemetry")
_UNWANTED = ("color_message", "_record", "_from_structlog")
_LEADING = ("ts", "level", "event")

_clock = SystemClock()
_json = msgspec.json.Encoder(enc_hook=str)


def configure_logs(level: Level, stream: TextIO | None = None) -> None:
    """Afterwards every logger of the process writes through here, to `stream` or else stdout; repeatable."""
    output = stream or sys.stdout
    render = _human_line if output.isatty() else _json_line
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.ExtraAdder(), _add_logger],
            processors=[_describe_error, _correlate, _clean, render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    # A line that cannot be written would be printed raw to stderr, with all that redaction takes out.
    logging.raiseExceptions = False
    _route_structlog()


def _route_structlog() -> None:
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _add_logger(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event["logger"] = event["_record"].name
    return event


def _describe_error(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    error = _error_of(event.pop("exc_info", None))
    if error is not None:
        event["errors"] = [msgspec.structs.asdict(one) for one in logged_errors(error)]
    return event


def _error_of(exc_info: object) -> BaseException | None:
    """All three forms the standard library knows: an exception, its triple, or True for the current one."""
    match exc_info:
        case BaseException():
            return exc_info
        case (_, BaseException() as error, _):
            return error
        case True:
            return sys.exc_info()[1]
        case _:
            return None


def _correlate(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    correlation = current_correlation()
    if correlation is not None:
        event.setdefault("request_id", correlation.request_id)
        event.setdefault("trace_id", correlation.trace.trace_id)
        event.setdefault("span_id", correlation.trace.span_id)
    return event


def _clean(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    fields = redacted_fields({name: value for name, value in event.items() if name not in _UNWANTED})
    fields["ts"] = utc_text(_clock.now())
    leading = {name: fields.pop(name) for name in _LEADING if name in fields}
    return leading | fields


def _json_line(_logger: WrappedLogger, _method: str, event: EventDict) -> ProcessorReturnValue:
    return _json.encode(event).decode()


def _human_line(_logger: WrappedLogger, _method: str, event: EventDict) -> ProcessorReturnValue:
    ts, level, text = (str(event.pop(name, "")) for name in _LEADING)
    rest = " ".join(f"{name}={value}" for name, value in event.items() if name != "logger")
    return f"{ts[11:23]} {level:<7} {text}" + (f"  {rest}" if rest else "")
