"""Makes text from a remote safe to store and to send."""

import re

_SURROGATE = re.compile("[\ud800-\udfff]")


class TextRepair:
    """Removes U+0000, joins surrogate halves across deltas and replaces lone ones by U+FFFD."""

    def __init__(self) -> None:
        self._half = ""

    def feed(self, text: str) -> str:
        if not self._half and text.isascii():
            return text.replace("\0", "")
        text = self._half + text
        self._half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        return repaired(text.removesuffix(self._half))

    def flush(self) -> str:
        """What was held back for a second half that never came."""
        text, self._half = self._half, ""
        return repaired(text)


def repaired(text: str) -> str:
    """For text that came in one piece."""
    if _SURROGATE.search(text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.replace("\0", "")
