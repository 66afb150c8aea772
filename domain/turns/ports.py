"""What turns need from the store."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from domain.audit.ports import EventTx
from domain.chats.models import NewChat
from domain.context.history import History
from domain.ids import ChatId, OwnerId, RequestId, TurnId
from domain.jobs.ports import JobTx
from domain.limits.turn_caps import RunningTurns
from domain.quotas.periods import PeriodType
from domain.quotas.ports import Quotas
from domain.streaming.models import StopReason
from domain.streaming.ports import TurnBrief
from domain.turns.models import (
    Fence,
    Founding,
    Gate,
    LeasedTurn,
    NewTurn,
    Remains,
    SavedPart,
    StoredAnswer,
    StoredFailure,
    TurnEnding,
    TurnLookup,
    TurnName,
    TurnResult,
)
from domain.turns.mutations import Aim


class Turns(Protocol):
    """Sees the turns of the scope's owner, nobody else's."""

    async def gate(self, chat_id: ChatId, request_id: RequestId) -> Gate | None:
        """The chat as a send meets it, in one read; None when there is no such live chat."""
        ...

    async def founding(self, request_id: RequestId) -> Founding:
        """What a send that creates its chat meets, in one read; keys of creating sends are unique per user."""
        ...

    async def history(self, chat_id: ChatId, newest: int, max_bytes: int, without: TurnId | None = None) -> History:
        """The summary of the chat and the newest turns beyond it that users saw an answer of, within both bounds.

        In one read. Deleted and replaced ones are no part of it, nor is the one that is about to be replaced, nor a
        summary that covers it.
        """
        ...

    async def reserve_seq(self, chat_id: ChatId, revision: int, first_line: str | None = None) -> int | None:
        """Locks the chat row and allots two seqs, returning the first; None when the chat moved on or is gone.

        A chat without a title is called by the first line, if there is one.
        """
        ...

    async def queue_up(self) -> None:
        """Waits until no other transaction is opening a turn of this user, which `reserve_seq` does as well.

        From then on until the end of this one, the user's running turns only become fewer.
        """
        ...

    async def running(self) -> RunningTurns: ...

    async def open(self, turn: NewTurn, user_seq: int, lease: timedelta) -> RunningTurns:
        """Inserts the running turn, leased to its owner, its user message and the entry of its hold in the ledger.

        The answer will be `user_seq + 1`.

        Tells what else runs. Raises LostRace when another turn of the chat runs or holds the key.
        """
        ...

    async def open_in_new_chat(self, turn: NewTurn, chat: NewChat, lease: timedelta) -> RunningTurns:
        """As `open`, and the chat comes into being with it, with the model that was selected.

        Raises LostRace when the key has created a chat already.
        """
        ...

    async def open_in_place_of(self, old: TurnId, turn: NewTurn, user_seq: int, lease: timedelta) -> RunningTurns:
        """As `open`, and the old turn, which has ended, goes with its messages and names the new one."""
        ...

    async def finish(
        self, turn_id: TurnId, chat_id: ChatId, epoch: int, result: TurnResult
    ) -> tuple[PeriodType, ...] | None:
        """Moves a running turn to its terminal state, stores its answer and settles what it holds.

        The periods of the counters that held less than the turn did, which the ledger then tells: none, unless there is
        a bug or a hand in the tables. None when the fence does not hold, and then nothing has changed.
        """
        ...

    async def fence(self, turn_id: TurnId) -> Fence | None: ...

    async def answer(self, turn_id: TurnId) -> StoredAnswer | None:
        """A completed turn with its answer."""
        ...

    async def failure(self, turn_id: TurnId) -> StoredFailure | None:
        """A failed or cancelled turn with what it had said."""
        ...

    async def mark_called(self, turn_id: TurnId, epoch: int) -> StopReason | None:
        """Notes that a provider is about to be called, unless there is a reason to stop the turn: that is returned."""
        ...

    async def mark_called_instead(self, brief: TurnBrief) -> StopReason | None:
        """Gives the turn the model and the prices of the brief, unless there is a reason to stop it: as `mark_called`.

        What it holds stays the same.
        """
        ...

    async def stay_with(self, brief: TurnBrief) -> None:
        """Undoes `mark_called_instead`, if it was done: the turn has the model and the prices of the brief again."""
        ...

    async def remains(self, turn_id: TurnId) -> Remains:
        """What its owner had saved of the turn before it was lost."""
        ...


class Statuses(Protocol):
    """Sees the turns of the scope's owner, deleted and replaced ones too, nobody else's."""

    async def find(self, chat_id: ChatId, name: TurnName) -> TurnLookup | None:
        """In one read; None when there is no such live chat. `latest` names the newest turn that is not deleted."""
        ...


class StatusTx(Protocol):
    @property
    def statuses(self) -> Statuses: ...


class Changes(Protocol):
    """Sees the turns of the scope's owner, nobody else's."""

    async def aim(self, chat_id: ChatId, name: TurnName) -> Aim | None:
        """In one read; None when there is no such live chat. Finds deleted turns too, but not as `latest`."""
        ...

    async def remove(self, chat_id: ChatId, revision: int, turn_id: TurnId) -> bool:
        """Deletes a turn that has ended, with its messages; False when the chat moved on or is gone."""
        ...


class ChangeTx(Protocol):
    @property
    def changes(self) -> Changes: ...


class Cancellations(Protocol):
    """Sees the turns of the scope's owner, nobody else's."""

    async def request(self, turn_id: TurnId, reason: StopReason) -> None:
        """Flags a running turn for cancellation. The first request stays; an ended turn is left as it is."""
        ...

    async def ending(self, turn_id: TurnId) -> TurnEnding | None:
        """None while it runs."""
        ...


class CancellationTx(StatusTx, Protocol):
    @property
    def cancellations(self) -> Cancellations: ...


class TurnTx(EventTx, JobTx, Protocol):
    @property
    def turns(self) -> Turns: ...

    @property
    def changes(self) -> Changes: ...

    @property
    def statuses(self) -> Statuses: ...

    @property
    def quotas(self) -> Quotas: ...


class Leases(Protocol):
    """The statements that span tenants: they return ids and flags, no content."""

    async def renew(self, owned: Sequence[TurnBrief], lease: timedelta) -> Mapping[TurnId, StopReason | None]:
        """Extends every lease still ours, and tells for each why somebody asked for its cancellation, if anybody did.

        A turn that is missing from the answer is locked, ended or owned by somebody else. Raises ServiceUnavailable.
        """
        ...

    async def save(self, parts: Sequence[SavedPart]) -> Collection[TurnId]:
        """Stores what answers have grown by; a part that is there already stays as it is. Raises ServiceUnavailable.

        A turn that is missing from the answer is just being ended, has ended or is owned by somebody else, and its
        part was not stored. No part outlives the running turn.
        """
        ...

    async def claim_expired(self, owner: OwnerId, lease: timedelta, at_most: int) -> Sequence[LeasedTurn]:
        """Takes over running turns whose lease ran out, each under a new epoch; safe when several reapers run."""
        ...


class CancelFlags(Protocol):
    """Spans tenants like Leases."""

    async def raised(self, owned: Sequence[TurnBrief]) -> Mapping[TurnId, StopReason]:
        """Those still ours for which somebody asked for cancellation, and why. Raises ServiceUnavailable."""
        ...
