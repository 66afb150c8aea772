"""One call to a model, in provider-neutral form."""

from datetime import timedelta
from enum import StrEnum
from typing import TypeAlias

import msgspec


class Purpose(StrEnum):
    CHAT = "chat"
    SUMMARY = "summary"
    TITLE = "title"


class UserText(msgspec.Struct, frozen=True):
    text: str


class AssistantText(msgspec.Struct, frozen=True):
    text: str


Item: TypeAlias = UserText | AssistantText


class Deadlines(msgspec.Struct, frozen=True, kw_only=True):
    """How long each phase of a call may take (providers-and-files.md 1.6). Any of them may be milliseconds."""

    pool_wait: timedelta = timedelta(seconds=5)
    connect: timedelta = timedelta(seconds=3)
    headers: timedelta = timedelta(seconds=30)
    first_token: timedelta = timedelta(seconds=60)
    idle: timedelta = timedelta(seconds=60)
    tool_idle: timedelta = timedelta(seconds=60)


class ProviderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`items` ends with the current user text, verbatim and alone.

    `model` is the remote name and `catalog_model` ours, both of the effective model. `params` holds only
    what the catalogue names for it. `user_pseudonym` stands for the user; real ids never leave.
    """

    purpose: Purpose
    model: str
    catalog_model: str
    instructions: str | None
    items: tuple[Item, ...]
    max_output_tokens: int
    params: dict[str, object] = msgspec.field(default_factory=dict)
    deadlines: Deadlines = Deadlines()
    user_pseudonym: str | None = None
    traceparent: str | None = None
