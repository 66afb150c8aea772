"""Retry, edit and delete: at which turn they are aimed, and whether that may still change (api.md 3.5). Pure."""

import msgspec

from domain.errors import ChatNotFound, InvalidTurnState, NotLatestTurn, TurnNotFound
from domain.ids import ChatId, RequestId, TurnId
from domain.streaming.ports import OnDisconnect
from domain.turns.models import PUBLIC_STATES, SendCommand, TurnKind, TurnName, TurnState, fingerprint_of


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A turn that is to change, with what was asked in it; `is_newest` among those that are not deleted.

    `revision` is that of its chat: it proves at the write that nothing has moved since.
    """

    revision: int
    turn_id: TurnId
    request_id: RequestId
    state: TurnState
    is_newest: bool
    content: str
    metadata: dict[str, str] | None
    web_search: bool


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """What a live chat has under a name."""

    target: Target | None


class ChangeCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A retry of `turn`, or with `content` an edit. What is None stays as it was in the old turn.

    `seen` is the turn that was found under the name at first: a second look after a lost race must not follow
    `latest` to the winner's turn.
    """

    chat_id: ChatId
    turn: TurnName
    content: str | None = None
    request_id: RequestId | None = None
    web_search: bool | None = None
    on_disconnect: OnDisconnect = OnDisconnect.CANCEL
    seen: RequestId | None = None

    @property
    def kind(self) -> TurnKind:
        return TurnKind.RETRY if self.content is None else TurnKind.EDIT

    @property
    def aim(self) -> TurnName:
        return self.seen or self.turn

    def fingerprint(self) -> bytes:
        """Of what makes two changes under one key the same change: as it was sent (api.md 1.5)."""
        return fingerprint_of(self.kind, self.turn, self.content, (), self.web_search)

    def question(self, target: Target) -> SendCommand:
        """What is asked in the new turn."""
        return SendCommand(
            target=self.chat_id,
            content=target.content if self.content is None else self.content,
            request_id=self.request_id,
            web_search=target.web_search if self.web_search is None else self.web_search,
            on_disconnect=self.on_disconnect,
            metadata=target.metadata,
        )


def changeable(aim: Aim | None) -> Target:
    """Raises ChatNotFound, TurnNotFound, InvalidTurnState, NotLatestTurn, in this order."""
    if aim is None:
        raise ChatNotFound
    target = aim.target
    if target is None:
        raise TurnNotFound
    if target.state is TurnState.RUNNING:
        raise InvalidTurnState(PUBLIC_STATES[target.state])
    if not target.is_newest:
        raise NotLatestTurn
    return target
