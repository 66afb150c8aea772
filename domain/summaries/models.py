"""A summary in the making (engine.md 6.3)."""

from collections.abc import Sequence

import msgspec

from domain.ids import TurnId


class SpokenTurn(msgspec.Struct, frozen=True, kw_only=True):
    """A turn beyond the frontier; long texts come cut off."""

    turn_id: TurnId
    end_seq: int
    user_text: str
    assistant_text: str


class Material(msgspec.Struct, frozen=True, kw_only=True):
    """What a summary can be made of, in one look: the present one and the turns that it does not cover, oldest first.

    `version` grows with each change of the summary and never comes back; 0 if there never was one.
    """

    chat_model: str
    version: int
    recap: str
    turns: Sequence[SpokenTurn]


class NewSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Made of the summary as it was at version `seen`, and of these turns."""

    seen: int
    made_of: tuple[TurnId, ...]
    text: str
    covers_seq: int
    token_estimate: int
    model: str
