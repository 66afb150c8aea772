"""A transaction, as the use cases see it."""

from contextlib import AbstractAsyncContextManager
from enum import Enum
from typing import Protocol, TypeVar

from domain.scope import AccessScope

Tx_co = TypeVar("Tx_co", covariant=True)


class Access(Enum):
    READ = "read"
    WRITE = "write"


class UnitOfWork(Protocol[Tx_co]):
    def __call__(self, scope: AccessScope, access: Access = Access.WRITE) -> AbstractAsyncContextManager[Tx_co]:
        """Leaving the block normally commits, leaving it by an exception rolls back; nobody else commits.

        Everything inside sees the rows of `scope.tenant_id` alone. READ is one consistent snapshot and
        cannot write. Between begin and commit nothing but the database is awaited.
        Raises ServiceUnavailable when the database cannot be reached in time.
        """
        ...
