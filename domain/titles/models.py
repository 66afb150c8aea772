"""Titles that chats get by themselves, or because somebody asked for one."""

from enum import StrEnum

import msgspec

from domain.ids import MessageId


class TitleMode(StrEnum):
    """What happens by itself. MODEL: the first line at once, and a model's title when the first answer is there."""

    OFF = "off"
    FIRST_LINE = "first_line"
    MODEL = "model"


class TitleSource(StrEnum):
    MODEL = "model"
    FALLBACK = "fallback"


class Beginning(msgspec.Struct, frozen=True, kw_only=True):
    """How a chat began, of what is still there; long texts are cut.

    `is_open`: its title is no user's and no model's. `question_id` is the message that `question` is from.
    """

    chat_model: str
    title: str | None
    is_open: bool
    question_id: MessageId | None
    question: str | None
    answer: str | None


class GeneratedTitle(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    source: TitleSource
