"""Which statements a connection keeps prepared at the server."""

from typing import Any, Final

from sqlalchemy.util import LRUCache
from typing_extensions import override

_AMOUNT: Final = 100
_LONGEST: Final = 4096


class StatementCache(LRUCache[str, Any]):
    """The ones used last, by their text, and none that is long.

    Our own are short. A long one is made of a caller's filter, is hardly ever sent again, and holds up to 2 MB of the
    server's memory as long as it is kept.
    """

    def __init__(self) -> None:
        super().__init__(_AMOUNT)

    @override
    def __setitem__(self, text: str, prepared: Any) -> None:
        if len(text) <= _LONGEST:
            super().__setitem__(text, prepared)
