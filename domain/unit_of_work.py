"""A transaction, as the use cases see it."""

from contextlib import AbstractAsyncContextManager
from enum import Enum
from typing import Protocol, TypeVar

from domain.errors import ServiceUnavailable
from domain.scope import AccessScope

Tx_co = TypeVar("Tx_co", covariant=True)


class Access(Enum):
    READ = "read"
    LIST = "list"
    WRITE = "write"


class LostRace(Exception):
    """Somebody else holds the key that the unique `constraint` guards. Begun again, the transaction sees the winner."""

    def __init__(self, constraint: str) -> None:
        super().__init__(constraint)
        self.constraint = constraint


class TransactionConflict(ServiceUnavailable):
    """Transactions at the same time stood in each other's way and this one gave in; begun again, it may succeed."""


class OutcomeUnknown(ServiceUnavailable):
    """The commit was asked for and its answer never came: it happened or it did not.

    Read back through a unique key before anything is tried again.
    """


class ReadOnly(Exception):
    """A READ transaction was asked to write: our own mistake, never an answer to a caller."""


class UnitOfWork(Protocol[Tx_co]):
    def __call__(self, scope: AccessScope, access: Access = Access.WRITE) -> AbstractAsyncContextManager[Tx_co]:
        """Leaving the block normally commits, leaving it by an exception rolls back; nobody else commits.

        Everything inside sees the rows of `scope.tenant_id` alone. READ is one consistent snapshot and
        cannot write: ReadOnly. LIST is a READ of lists, long ones and short ones.
        Between begin and commit nothing but the database is awaited.
        Raises ServiceUnavailable when the database cannot be reached in time, with TransactionConflict and
        OutcomeUnknown as the two cases a caller may act on; LostRace for a unique key that is taken.
        """
        ...
