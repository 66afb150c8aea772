"""What the database's refusals mean to a use case: SQLSTATE and constraint name, never the text.

Messages and details quote values of rows, possibly of other people's, so they are dropped here. What remains for
the log is the traceback and a note that names the SQLSTATE.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from domain.errors import ServiceUnavailable
from domain.unit_of_work import LostRace, OutcomeUnknown, ReadOnly, TransactionConflict

RETRY_AFTER: Final = timedelta(seconds=1)

_UNIQUE_VIOLATION: Final = "23505"
_READ_ONLY_TRANSACTION: Final = "25006"
_CONFLICTS: Final = frozenset({"40001", "40P01"})
# Lost connection, resources, shutdown and cancelled query, trouble below the server; lock_timeout, idle session.
_OUTAGE_CLASSES: Final = ("08", "53", "57", "58")
_OUTAGES: Final = frozenset({"55P03", "25P03", "25P04"})
_CONNECTION_ENDED: Final = ("08", "57P")

DRIVER_ERRORS: Final = (
    DBAPIError,
    PoolTimeout,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
"""Everything that waiting for the database may raise; OSError includes TimeoutError.

InternalClientError is what a connection answers whose server has said goodbye while nobody listened.
"""


class DatabaseFault(Exception):
    """The database refused something it should never have been asked: a bug, or a set-up that does not fit.

    Says which rule was hurt and nothing about the data.
    """

    def __init__(self, sqlstate: str | None, constraint: str | None) -> None:
        super().__init__(f"SQLSTATE {sqlstate or 'none'}, constraint {constraint or 'none'}")
        self.sqlstate = sqlstate
        self.constraint = constraint


@contextmanager
def translated() -> Iterator[None]:
    """What the driver raises becomes LostRace, TransactionConflict, ReadOnly, ServiceUnavailable or DatabaseFault."""
    try:
        yield
    except DRIVER_ERRORS as error:
        raise _noted(_meaning(error), error).with_traceback(error.__traceback__) from None


@contextmanager
def translated_commit() -> Iterator[None]:
    """As `translated`, but a connection that ended while COMMIT was in flight leaves its outcome open."""
    try:
        yield
    except DRIVER_ERRORS as error:
        meaning = OutcomeUnknown(retry_after=RETRY_AFTER) if _answer_lost(error) else _meaning(error)
        raise _noted(meaning, error).with_traceback(error.__traceback__) from None


def _meaning(error: Exception) -> Exception:
    sqlstate = _sqlstate(error)
    if sqlstate is None:
        return DatabaseFault(None, None) if _refused_by_driver(error) else ServiceUnavailable(retry_after=RETRY_AFTER)
    if sqlstate in _CONFLICTS:
        return TransactionConflict(retry_after=RETRY_AFTER)
    if sqlstate in _OUTAGES or sqlstate.startswith(_OUTAGE_CLASSES):
        return ServiceUnavailable(retry_after=RETRY_AFTER)
    if sqlstate == _READ_ONLY_TRANSACTION:
        return ReadOnly()
    constraint = _constraint(error)
    if sqlstate == _UNIQUE_VIOLATION and constraint is not None:
        return LostRace(constraint)
    return DatabaseFault(sqlstate, constraint)


def _answer_lost(error: Exception) -> bool:
    sqlstate = _sqlstate(error)
    return sqlstate is None or sqlstate.startswith(_CONNECTION_ENDED)


def _refused_by_driver(error: Exception) -> bool:
    """A value the driver would not even send, or a connection misused: the database is well."""
    if isinstance(error, DBAPIError):
        return not error.connection_invalidated and isinstance(_cause(error), asyncpg.InterfaceError)
    return isinstance(error, asyncpg.InterfaceError)


def _sqlstate(error: Exception) -> str | None:
    sqlstate = getattr(_cause(error), "sqlstate", None)
    return sqlstate if isinstance(sqlstate, str) else None


def _constraint(error: Exception) -> str | None:
    constraint = getattr(_cause(error), "constraint_name", None)
    return constraint if isinstance(constraint, str) else None


def _cause(error: Exception) -> BaseException | None:
    """The driver's own error inside SQLAlchemy's two wrappers."""
    if not isinstance(error, DBAPIError) or error.orig is None:
        return error
    return error.orig.__cause__ or error.orig


def _noted(meaning: Exception, error: Exception) -> Exception:
    meaning.add_note(f"database: {type(_cause(error)).__name__}, SQLSTATE {_sqlstate(error) or 'none'}")
    return meaning
