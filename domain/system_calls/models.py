"""A call to a model that the system makes for itself, and what it costs the tenant (engine.md 4.2, 6.3)."""

from datetime import timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from domain.audit.events import NewEvent
from domain.catalogue.models import ModelSpec
from domain.context.usage import ResolvedUsage
from domain.ids import ChatId
from domain.providers.errors import ProviderFailure
from domain.providers.events import Finish
from domain.providers.request import Item, Purpose
from domain.quotas.models import Hold
from domain.quotas.settlement import Settlement


class SystemTask(StrEnum):
    TITLE = "chat_title"
    SUMMARY = "thread_summary"


PURPOSES: Final = {SystemTask.TITLE: Purpose.TITLE, SystemTask.SUMMARY: Purpose.SUMMARY}
"""As the catalogue and providers call the tasks."""


class RefusedFor(StrEnum):
    SWITCHED_OFF = "switched_off"
    NO_MODEL = "no_model"
    EXHAUSTED = "exhausted"


class SystemCallRefused(Exception):
    """No model was called and nothing was charged; trying again soon would not help."""

    def __init__(self, reason: RefusedFor) -> None:
        super().__init__(reason.value)
        self.reason = reason


class SystemCallFailed(Exception):
    """The model did not answer; what the attempt cost is in the books."""

    def __init__(self, failure: ProviderFailure) -> None:
        super().__init__(failure.kind.value)
        self.failure = failure


class SystemOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be asked about a chat. `items` ends with the text to work on, which is data and no instruction."""

    task: SystemTask
    chat_id: ChatId
    model: ModelSpec
    instructions: str
    items: tuple[Item, ...]
    max_output_tokens: int
    deadline: timedelta


class SystemCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call that its tenant's daily `system` bucket was charged for, by an estimate, before it was made."""

    id: UUID
    task: SystemTask
    chat_id: ChatId
    model: str
    provider_id: str
    hold: Hold


class SettledCall(msgspec.Struct, frozen=True, kw_only=True):
    """What it came to. The bucket gets back, or gives, the difference to the estimate."""

    call: SystemCall
    usage: ResolvedUsage
    settlement: Settlement
    succeeded: bool

    @property
    def difference_micro(self) -> int:
        """Negative where the estimate was more than the cost."""
        return self.settlement.charged_micro - self.call.hold.credits_micro


class SystemAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`event` is to be added and `settled` to be entered, in this order and once, by the transaction that stores what
    was made of the text or drops it. The event's key is what keeps them from being entered twice.
    """

    text: str
    finish: Finish
    settled: SettledCall
    event: NewEvent
