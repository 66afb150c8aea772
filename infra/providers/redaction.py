"""What of a remote's error may enter our logs: machine words, never sentences.

A remote's sentence may quote the prompt, so its free text is never kept, however well it were cleaned.
"""

import re
from collections.abc import Callable, Iterable

_WORD = re.compile(r"(?=.{1,64}$)(?:[a-z]+(?:_[a-z]+)*|(?:[A-Z][a-z]+)+)")
_ID_PREFIX = re.compile(r"(?:sk|resp|msg|chatcmpl|cmpl|file|vs|batch|asst|thread|run|call|req|item)[_-]")
_MAX_CHARS = 500
_HIDDEN = "***"
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_SECRETS = re.compile(
    r"""
    \b[a-z][a-z0-9+.-]*://\S+                                                        # addresses
    | \S+@\S+                                                                        # e-mail
    | (?i:\bbearer\s+\S+ | \bsk-\S+ | \bapi[-_ ]?key\S*\s*[:=]?\s*\S+)               # keys
    | \beyJ[\w-]+\.[\w-]+\.[\w-]*                                                    # tokens
    | \b(?:resp|msg|chatcmpl|cmpl|file|vs|batch|asst|thread|run|call|fc|rs|ws|ci|fs|cntr|item|req|toolu|srvtoolu)
      [_-](?=\w*\d)\w{3,}                                                            # ids
    | \b\d{1,3}(?:\.\d{1,3}){3}\b | (?<![\w:])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?![\w:])   # machines
    | [A-Za-z0-9+/=_-]{32,}                                                          # digests and other long secrets
    """,
    re.VERBOSE,
)


def machine_word(value: object) -> str:
    """A code or type as sent if it is a name as servers give them, which no id, key, host or address is; else empty."""
    if not isinstance(value, str) or not _WORD.fullmatch(value) or _ID_PREFIX.match(value):
        return ""
    return value


class Redaction:
    """Takes out first what the configuration says is secret, then whatever looks like it."""

    def __init__(self, literals: Callable[[], Iterable[str]] = tuple) -> None:
        """`literals` are asked for each time, for keys may change."""
        self._literals = literals

    def of(self, text: str) -> str:
        known = sorted({re.escape(literal) for literal in self._literals() if literal}, key=len, reverse=True)
        shown = re.sub("|".join(known), _HIDDEN, text, flags=re.IGNORECASE) if known else text
        return _SECRETS.sub(_HIDDEN, _CONTROLS.sub(" ", shown))[:_MAX_CHARS]
