"""One call to a model, in provider-neutral form (providers-and-files.md 1.2)."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Literal, TypeAlias

import msgspec


class Purpose(StrEnum):
    CHAT = "chat"
    SUMMARY = "summary"
    TITLE = "title"


class UserText(msgspec.Struct, frozen=True):
    text: str


class AssistantText(msgspec.Struct, frozen=True):
    text: str


class ContextBlock(msgspec.Struct, frozen=True):
    """What the model should know and must not obey: already fenced (engine.md 6.4), sent in the user's role."""

    text: str


Item: TypeAlias = UserText | AssistantText | ContextBlock


class FileSearch(msgspec.Struct, frozen=True, kw_only=True):
    """Remote search in one store; `only` narrows it to these attachments of ours."""

    store_id: str
    max_num_results: int
    only: tuple[str, ...] | None = None


class WebSearch(msgspec.Struct, frozen=True, kw_only=True):
    context_size: Literal["low", "medium", "high"]
    max_uses: int


class CodeInterpreter(msgspec.Struct, frozen=True, kw_only=True):
    """`file_ids` are remote ones."""

    file_ids: tuple[str, ...] = ()


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """`schema` is a JSON Schema object of the arguments."""

    name: str
    description: str
    schema: Mapping[str, object]


RequestTool: TypeAlias = FileSearch | WebSearch | CodeInterpreter | Function


class CitedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the chat as a citation shows it: our id and the stored name."""

    attachment_id: str
    title: str


class Pseudonyms(msgspec.Struct, frozen=True, kw_only=True):
    """They stand for ids of ours, which never leave: stable for a deployment, meaningless outside it."""

    tenant: str
    user: str
    chat: str


class Deadlines(msgspec.Struct, frozen=True, kw_only=True):
    """How long each phase of a call may take (providers-and-files.md 1.6). Any of them may be milliseconds."""

    pool_wait: timedelta = timedelta(seconds=5)
    connect: timedelta = timedelta(seconds=3)
    write: timedelta = timedelta(seconds=10)
    headers: timedelta = timedelta(seconds=30)
    first_token: timedelta = timedelta(seconds=60)
    idle: timedelta = timedelta(seconds=60)
    tool_idle: timedelta = timedelta(seconds=60)


class ProviderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`items` ends with the current user text, verbatim and alone.

    `model` is the remote name and `catalog_model` ours, both of the effective model. `params` holds only
    what the catalogue names for it. `tools` are those really offered, and `max_tool_calls` bounds their calls.
    `citation_index` maps remote file ids to the files of this chat that an answer may cite.
    """

    purpose: Purpose
    model: str
    catalog_model: str
    instructions: str | None
    items: tuple[Item, ...]
    max_output_tokens: int
    params: dict[str, object] = msgspec.field(default_factory=dict)
    tools: tuple[RequestTool, ...] = ()
    max_tool_calls: int | None = None
    citation_index: Mapping[str, CitedFile] = msgspec.field(default_factory=dict)
    deadlines: Deadlines = Deadlines()
    pseudonyms: Pseudonyms | None = None
    traceparent: str | None = None
