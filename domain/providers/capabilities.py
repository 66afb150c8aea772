"""What a provider can carry (providers-and-files.md 1.4); what is not carried is not offered and costs nothing."""

import msgspec


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """Of one provider as it is configured. None: no bound of its own.

    `file_search_filters`: a search can be narrowed to some files of its store.
    """

    file_search: bool = False
    file_search_filters: bool = False
    web_search: bool = False
    code_interpreter: bool = False
    function_tools: bool = False
    reasoning: bool = False
    max_messages: int | None = None
    max_message_chars: int | None = None
    max_total_chars: int | None = None
