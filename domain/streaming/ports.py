"""What a turn asks of those who start it and settle it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

import msgspec

from domain.catalogue.models import Tier
from domain.catalogue.resolver import Resolution
from domain.ids import ChatId, MessageId, RequestId, TurnId
from domain.jobs.payloads import NameChat, SummariseThread
from domain.providers.events import ToolName
from domain.quotas.models import Hold
from domain.scope import AccessScope
from domain.streaming.events import Done, TurnError
from domain.streaming.models import Ending, StopReason
from domain.streaming.transcript import Transcript
from domain.switches.models import Tool, TurnFacts
from domain.telemetry.trace_context import TraceContext


class OnDisconnect(StrEnum):
    CANCEL = "cancel"
    CONTINUE = "continue"


class TurnBrief(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a running turn that does not change while it runs.

    `started` is the clock's monotonic reading at which it was accepted; `epoch` fences every write of its owner;
    `tools` are those the model may use, and `tool_limits` how often: what is not named there has no limit.
    `recap_tokens` is the size of the summary in its prompt, if there is one, and `summary_due` what is to be summarised
    once the turn has been answered; `title_due` is there if its chat is to be named then.
    """

    turn_id: TurnId
    chat_id: ChatId
    scope: AccessScope
    request_id: RequestId
    message_id: MessageId
    epoch: int
    on_disconnect: OnDisconnect
    resolution: Resolution
    hold: Hold
    trace: TraceContext
    started: float
    tools: frozenset[Tool] = frozenset()
    recap_tokens: int | None = None
    summary_due: SummariseThread | None = None
    tool_limits: Mapping[ToolName, int] = msgspec.field(default_factory=dict)
    title_due: NameChat | None = None

    @property
    def facts(self) -> TurnFacts:
        """What a kill switch can be about."""
        model = self.resolution.effective
        return TurnFacts(
            tenant_id=self.scope.tenant_id,
            model=model.id,
            provider_id=model.provider_id,
            is_premium=model.tier is Tier.PREMIUM,
            tools=self.tools,
        )


class Closing(msgspec.Struct, frozen=True, kw_only=True):
    """A turn that has stopped, as its books are closed.

    `last_number` is that of the coming terminal event, `upstream_closed_ms` how long the provider connection stayed
    open after the word to stop: None where there was no word or no connection. `may_have_gone_over`: the row may have
    another model than the brief, for nobody heard whether it was written; the turn stays with that of the brief.
    """

    brief: TurnBrief
    ending: Ending
    transcript: Transcript
    provider_called: bool
    last_number: int
    upstream_closed_ms: int | None = None
    may_have_gone_over: bool = False


class Books(Protocol):
    async def may_call(self, brief: TurnBrief) -> StopReason | None:
        """Notes for good that the provider is about to be called; the reason to stop instead, if there is one.

        Raises ServiceUnavailable when it cannot be noted in time: the provider must not be called then.
        """
        ...

    async def may_call_instead(self, brief: TurnBrief) -> StopReason | None:
        """As `may_call`, once the turn is to be answered by another model than it was opened with: `brief` names it,
        and the turn has that model and its prices from then on, whoever ends it.
        """
        ...

    async def finish(self, closing: Closing) -> Done | TurnError:
        """Closes the books in one commit, within its own deadline, and says what the readers are told.

        Never raises but for a cancellation. When the commit did not happen in time the readers are told
        `internal_error` and the turn is left to the reaper.
        """
        ...
