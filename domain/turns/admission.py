"""Everything that may refuse a send, in its documented order (api.md 3.4, engine.md 2.2). Reads only."""

from collections.abc import Sequence

import msgspec

from domain.catalogue.models import Estimation, ModelSpec
from domain.catalogue.ports import Catalogue
from domain.catalogue.resolver import Resolution, choose_for_chat, resolve_for_send
from domain.chats.models import NewChat
from domain.chats.service import ChatDraft
from domain.context.assembler import Plan, assemble
from domain.errors import (
    ChatNotFound,
    Fault,
    GenerationInProgress,
    InvalidAttachment,
    RequestIdConflict,
    RequestIdReused,
)
from domain.ids import ChatId, RequestId
from domain.scope import AccessScope
from domain.streaming.supervisor import TurnSupervisor
from domain.turns.models import PUBLIC_STATES, Exchange, Gate, SendCommand, StoredAnswer, TurnState, TurnSummary
from domain.turns.ports import TurnTx
from domain.unit_of_work import Access, UnitOfWork


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """A send that nothing refuses. Without a `gate` its chat is `new_chat` and comes into being with it."""

    command: SendCommand
    request_id: RequestId
    gate: Gate | None
    new_chat: NewChat | None
    resolution: Resolution
    plan: Plan


class Admission:
    def __init__(
        self,
        begin: UnitOfWork[TurnTx],
        catalogue: Catalogue,
        supervisor: TurnSupervisor,
        budgets: Estimation,
        recent_turns: int,
    ) -> None:
        self._begin = begin
        self._catalogue = catalogue
        self._supervisor = supervisor
        self._budgets = budgets
        self._recent_turns = recent_turns

    async def admit(self, scope: AccessScope, command: SendCommand, request_id: RequestId) -> Admitted | StoredAnswer:
        """An answer already stored under this key, else leave to write. A refusal has written nothing.

        Raises ChatNotFound, RequestIdConflict, RequestIdReused, GenerationInProgress, InvalidAttachment,
        InvalidModel, InputTooLong, ContextBudgetExceeded, ServiceUnavailable.
        """
        async with self._begin(scope, Access.READ) as tx:
            gate = await self._gate(tx, command, request_id)
            if gate is not None and gate.same_request is not None:
                return await self._answer_to(tx, gate.same_request, command)
            self._refuse_busy_chat(gate)
            self._refuse_attachments(command)
            resolution = self._resolve(command, gate)
            self._supervisor.require_permit()
            history = await self._history(tx, gate, resolution.effective)
        return Admitted(
            command=command,
            request_id=request_id,
            gate=gate,
            new_chat=self._new_chat(command, gate),
            resolution=resolution,
            plan=assemble(resolution.effective, self._budgets, history, command.content),
        )

    async def _gate(self, tx: TurnTx, command: SendCommand, request_id: RequestId) -> Gate | None:
        chat_id = await self._chat_of(tx, command.target, request_id)
        if chat_id is None:
            return None
        gate = await tx.turns.gate(chat_id, request_id)
        if gate is None:
            raise ChatNotFound
        return gate

    async def _chat_of(self, tx: TurnTx, target: ChatId | ChatDraft, request_id: RequestId) -> ChatId | None:
        if not isinstance(target, ChatDraft):
            return target
        created = await tx.turns.created_by(request_id)
        return None if created is None else created.chat_id

    async def _answer_to(self, tx: TurnTx, turn: TurnSummary, command: SendCommand) -> StoredAnswer:
        if turn.state is not TurnState.COMPLETED:
            raise RequestIdConflict(PUBLIC_STATES[turn.state])
        if turn.fingerprint != command.fingerprint():
            raise RequestIdReused
        answer = await tx.turns.answer(turn.id)
        if answer is None:
            raise RequestIdConflict(PUBLIC_STATES[turn.state])
        return answer

    def _refuse_busy_chat(self, gate: Gate | None) -> None:
        if gate is not None and gate.running_request_id is not None:
            raise GenerationInProgress(str(gate.running_request_id))

    def _refuse_attachments(self, command: SendCommand) -> None:
        faults = tuple(
            Fault(
                field=f"attachment_ids[{index}]", message="There is no such attachment in this chat.", code="not_found"
            )
            for index in range(len(command.attachment_ids))
        )
        if faults:
            raise InvalidAttachment(faults=faults)

    def _resolve(self, command: SendCommand, gate: Gate | None) -> Resolution:
        models = self._catalogue.models()
        if gate is not None:
            return resolve_for_send(models, gate.model)
        wanted = command.target.model if isinstance(command.target, ChatDraft) else None
        return resolve_for_send(models, choose_for_chat(models, wanted).id)

    def _new_chat(self, command: SendCommand, gate: Gate | None) -> NewChat | None:
        if gate is None and isinstance(command.target, ChatDraft):
            return command.target.resolved(self._catalogue)
        return None

    async def _history(self, tx: TurnTx, gate: Gate | None, model: ModelSpec) -> Sequence[Exchange]:
        if gate is None or not self._recent_turns:
            return ()
        largest_bytes = model.max_input_tokens * self._budgets.bytes_per_token
        return await tx.turns.history(gate.chat_id, self._recent_turns, largest_bytes)
