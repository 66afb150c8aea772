"""What of a remote's error may enter our logs: machine words, never sentences.

A remote's sentence may quote the prompt, so its free text is never kept, however well it were cleaned.
"""

import re

_WORD = re.compile(r"[A-Za-z][A-Za-z_-]{0,63}")
_ID_PREFIX = re.compile(r"(?:sk|resp|msg|chatcmpl|cmpl|file|vs|batch|asst|thread|run|call|req|item)[_-]")


def machine_word(value: object) -> str:
    """A code or type as sent if it is a slug without digits, which no id, key, host or address is; else empty."""
    if not isinstance(value, str) or not _WORD.fullmatch(value) or _ID_PREFIX.match(value):
        return ""
    return value
