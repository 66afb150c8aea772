"""`python -m bench.filters`: CPU time from the text of a filter of ten terms to its tree, and on to SQL.

SQL means the expression that a statement takes in; its text is compiled once per shape of filter and kept.
"""

import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Final

from sqlalchemy import column

from api.odata.parser import parsed_filter
from bench.report import Gate
from domain.chats.listing import CHAT_LIST
from infra.postgres.filters_sql import holds
from infra.postgres.list_columns import ListColumns

_TEN_TERMS: Final = (
    "title eq 'Tides' and created_at gt 2026-03-01T09:30:00Z and (is_favorite eq true or contains(tolower(title),'x')) "
    "and id ne 0198c0de-7a10-7c3e-9b1f-5d2a4e6f8a01 and model in ('a','b','c') and not startswith(title,'z') "
    "and updated_at le 2026-05-01 and is_temporary eq false and title ne null"
)
_LARGEST: Final = " or ".join(["created_at gt 2026-03-01T09:30:00.123456789+05:45"] * 150)
_COLUMNS: Final = ListColumns(CHAT_LIST, {field.name: column(field.name) for field in CHAT_LIST.fields})
_ROUNDS: Final = 15


def _cpu_us(act: Callable[[], object], times: int) -> float:
    """The median of some rounds."""
    rounds_us = []
    for _ in range(_ROUNDS):
        started = time.process_time()
        for _ in range(times):
            act()
        rounds_us.append((time.process_time() - started) * 1_000_000 / times)
    return median(rounds_us)


def gates() -> list[Gate]:
    tree = parsed_filter(_TEN_TERMS, CHAT_LIST)
    parse_us = _cpu_us(lambda: parsed_filter(_TEN_TERMS, CHAT_LIST), times=200)
    translate_us = _cpu_us(lambda: holds(tree, _COLUMNS), times=50)
    largest_us = _cpu_us(lambda: parsed_filter(_LARGEST, CHAT_LIST), times=5)
    return [
        Gate(what="parse a filter of ten terms", measured=parse_us, limit=80, unit="us"),
        Gate(
            what="parse and translate it",
            measured=parse_us + translate_us,
            limit=200,
            unit="us",
            remark=f"; {translate_us:.0f} us to translate",
        ),
        Gate(what="parse 8 KiB", measured=largest_us / 1000, limit=10, unit="ms"),
    ]


def main() -> int:
    found = gates()
    for gate in found:
        print(gate)
    return int("--gate" in sys.argv and not all(gate.met for gate in found))


if __name__ == "__main__":
    sys.exit(main())
