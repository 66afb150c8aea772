"""Tells the keepers of the books whom a limit refused (engine.md 7.2)."""

import logging
from typing import Final

from domain.audit.events import About, Actor, EventType, audit_event
from domain.audit.ports import EventTx
from domain.audit.sampling import Sampling
from domain.clock import Clock
from domain.errors import QuotaExceeded, ServiceUnavailable
from domain.ids import ChatId, RequestId
from domain.scope import AccessScope
from domain.unit_of_work import UnitOfWork

_log = logging.getLogger(__name__)

_TOLD_PER_SECOND: Final = 10


class QuotaRejections:
    """In a transaction of its own, for that of a refused call writes nothing.

    Of one user ten are told in a second and of the others every hundredth, so that whoever hammers at a limit does
    not write as fast as he asks.
    """

    def __init__(self, begin: UnitOfWork[EventTx], clock: Clock) -> None:
        self._begin = begin
        self._clock = clock
        self._sampling = Sampling(clock.monotonic, _TOLD_PER_SECOND)

    async def tell(
        self, scope: AccessScope, refusal: QuotaExceeded, chat_id: ChatId | None, request_id: RequestId
    ) -> None:
        """A store that cannot be reached keeps nobody from learning of the refusal."""
        if not self._sampling.takes(scope):
            return
        about = About(chat_id=chat_id, request_id=request_id)
        event = audit_event(
            EventType.QUOTA_REJECTED,
            scope,
            Actor.behind(scope),
            self._clock.now(),
            about,
            outcome="denied",
            details=refusal.members,
        )
        try:
            async with self._begin(scope) as tx:
                await tx.events.add(event)
        except ServiceUnavailable:
            _log.warning("quota_rejected_untold")
