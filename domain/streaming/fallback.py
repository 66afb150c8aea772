"""The other model of a turn, should the first not take its call (api.md 4.8)."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from domain.providers.errors import FailureKind
from domain.providers.events import Accepted, Failed, ProviderEvent
from domain.providers.ports import Provider
from domain.providers.request import ProviderRequest
from domain.streaming.ports import TurnBrief

_TAKES_NO_CALL: Final = frozenset({FailureKind.UNREACHABLE, FailureKind.BUSY_LOCAL, FailureKind.OVERLOADED})


class Fallback(msgspec.Struct, frozen=True, kw_only=True):
    """`brief` is that of the turn as it will have been all along; `is_offered` tells whether the model still is.

    `on_taken` is called once the turn has gone over, and may stop it: a switch that aborts turns of this model, or of
    a tool that it alone has, did not find it before.
    """

    brief: TurnBrief
    provider: Provider
    request: ProviderRequest
    is_offered: Callable[[], bool]
    on_taken: Callable[[], object]


def leaves_to_another(batch: Sequence[ProviderEvent], *, called: bool) -> Failed | None:
    """The failure of a first batch that another model may make good; None where the model has begun to answer."""
    failed = batch[-1]
    if not isinstance(failed, Failed) or not is_silent(batch[:-1]):
        return None
    kind = failed.failure.kind
    is_connect_deadline = kind is FailureKind.TIMEOUT and not called
    return failed if kind in _TAKES_NO_CALL or is_connect_deadline else None


def is_silent(batch: Sequence[ProviderEvent]) -> bool:
    """Whether nothing has come but the head of an answer."""
    return all(isinstance(event, Accepted) for event in batch)
