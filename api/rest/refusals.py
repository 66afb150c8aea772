"""What only the HTTP edge can refuse; everything else is refused by the domain.

EdgeRefusal(status, code, sentence)
├── AddressNotFound     404    ├── RequestTimeout   408    └── InternalFault   500
├── MethodNotAllowed    405    └── NotOffered       501
"""

from collections.abc import Iterable
from typing import ClassVar

from domain.errors import Fault, ServiceUnavailable


class EdgeRefusal(Exception):
    status: ClassVar[int]
    code: ClassVar[str]
    sentence: ClassVar[str]

    def __init__(self, *, faults: tuple[Fault, ...] = (), headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(self.code)
        self.faults = faults
        self.headers = headers


class AddressNotFound(EdgeRefusal):
    status, code = 404, "not_found"
    sentence = "There is nothing at this address."


class MethodNotAllowed(EdgeRefusal):
    status, code = 405, "method_not_allowed"
    sentence = "This address does not know this method."

    def __init__(self, allowed: Iterable[str]) -> None:
        super().__init__(headers=(("Allow", ", ".join(sorted(allowed))),))


class RequestTimeout(EdgeRefusal):
    status, code = 408, "request_timeout"
    sentence = "The request body stopped arriving."

    def __init__(self) -> None:
        super().__init__(headers=(("Connection", "close"),))


class NotOffered(EdgeRefusal):
    status, code = 501, "not_implemented"
    sentence = "This query option is known but not offered."

    @classmethod
    def of(cls, option: str) -> "NotOffered":
        fault = Fault(field=option, message="This option is not offered.", code="unknown_option")
        return cls(faults=(fault,))


class InternalFault(EdgeRefusal):
    status, code = 500, "internal_error"
    sentence = "Something went wrong on our side."


class Draining(ServiceUnavailable):
    """The process is about to stop; another one takes the request, over another connection."""

    sentence = "The server is shutting down; send the request again."
