"""The items of a request as the alternating messages that the Messages API accepts."""

from collections.abc import Iterable
from typing import TypeAlias

from domain.providers.request import AssistantText, Item

TextBlock: TypeAlias = dict[str, str]
Message: TypeAlias = dict[str, object]


def conversation(items: Iterable[Item]) -> list[Message]:
    """Begins with the user; texts of one role that follow one another become blocks of one message.

    Texts of white space alone are refused by the API, so they are left out.
    """
    messages: list[Message] = []
    blocks: list[TextBlock] = []
    for item in items:
        role = "assistant" if isinstance(item, AssistantText) else "user"
        if not item.text.strip() or (role == "assistant" and not messages):
            continue
        if not messages or messages[-1]["role"] != role:
            blocks = []
            messages.append({"role": role, "content": blocks})
        blocks.append({"type": "text", "text": item.text})
    return messages
