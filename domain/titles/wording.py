"""Titles out of what users wrote and models said, as plain text of one line. Pure."""

import re
import unicodedata
from typing import Final

from domain.titles.graphemes import ZERO_WIDTH_JOINER, cut

MOST_CHARACTERS: Final = 80
NAMELESS: Final = "New chat"
"""For a chat whose first message shows nothing."""

_LOOKED_AT_CHARACTERS: Final = 400
_ZERO_WIDTH_NON_JOINER: Final = "\u200c"
_QUOTES: Final = (
    "\"'`\uff02\uff07\u00ab\u00bb\u2039\u203a\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f"
    "\u3008\u3009\u300a\u300b\u300c\u300d\u300e\u300f"
)
_MARKUP: Final = "*_#~>-\u2013\u2014=| "
_LABEL: Final = re.compile(r"[\W_]*(?:chat |conversation )?title[*_ ]*[:\uff1a][*_ ]*", re.IGNORECASE)
_LOOKS_EMPTY: Final = "\u115f\u1160\u2800\u3164\uffa0"
"""Letters and symbols by category, and nothing to the eye."""

_PRINTABLE_AND_UNSEEN: Final = re.compile(f"[{_LOOKS_EMPTY}\ufe00-\ufe0f\U000e0100-\U000e01ef]")

_SEEN: Final = frozenset("LNPS")
_PICTOGRAPHS: Final = range(0x1F000, 0x20000)
"""Among them are some of later Unicode versions than ours, which are unassigned here."""


def first_line(message: str) -> str | None:
    """The beginning of a message, white space collapsed, cut between words (api.md 3.3); None if it shows nothing."""
    text = plain(message)
    if len(text) <= MOST_CHARACTERS:
        return text or None
    end = text.rfind(" ", 0, MOST_CHARACTERS + 1)
    return text[:end] if end > 0 else cut(text, MOST_CHARACTERS)


def spoken_title(answer: str) -> str | None:
    """What a model proposed, without the wrapping that models put around it; None if nothing is left."""
    lines = (_unwrapped(plain(line)) for line in answer.strip()[:_LOOKED_AT_CHARACTERS].splitlines())
    line = next((line for line in lines if line), "")
    return cut(line, MOST_CHARACTERS).rstrip() or None


def plain(text: str) -> str:
    """One line of what can be seen: no controls, no marks that turn or hide text, no white space at either end.

    Of a long text the beginning.
    """
    line = " ".join(text.lstrip()[:_LOOKED_AT_CHARACTERS].split())
    # Nearly every text is fine as it is, and to look at each character costs a hundred times more than to find out.
    if not line.isprintable() or _PRINTABLE_AND_UNSEEN.search(line):
        line = " ".join("".join(_kept(line, place) for place in range(len(line))).split())
    return line if any(map(_is_seen, line)) else ""


def _kept(text: str, place: int) -> str:
    character = text[place]
    if character in {ZERO_WIDTH_JOINER, _ZERO_WIDTH_NON_JOINER}:
        return character if _joins(text, place) else ""
    if "\ufe00" <= character <= "\ufe0f":
        return character if place > 0 and _is_seen(text[place - 1]) else ""
    if "\U000e0100" <= character <= "\U000e01ef" or character in _LOOKS_EMPTY:
        return ""
    match unicodedata.category(character)[0]:
        case "Z":
            return " "
        case "C":
            return " " if unicodedata.category(character) == "Cc" else character * (ord(character) in _PICTOGRAPHS)
        case _:
            return character


def _joins(text: str, place: int) -> bool:
    """Between two that are seen: there it shapes emoji and some scripts, anywhere else it only hides."""
    return 0 < place < len(text) - 1 and _is_part(text[place - 1]) and _is_part(text[place + 1])


def _is_part(character: str) -> bool:
    return _is_seen(character) or unicodedata.category(character)[0] == "M"


def _is_seen(character: str) -> bool:
    return unicodedata.category(character)[0] in _SEEN or ord(character) in _PICTOGRAPHS


def _unwrapped(line: str) -> str:
    """Labels, quotes and markup around a title go, those inside stay."""
    label = _LABEL.match(line)
    bare = line[label.end() :] if label is not None else line
    bare = _without_period(bare.lstrip(_MARKUP).rstrip(_MARKUP))
    while len(bare) > 1 and bare[0] in _QUOTES and bare[-1] in _QUOTES and not set(bare[1:-1]) & {bare[0], bare[-1]}:
        bare = _without_period(bare[1:-1].strip())
    return bare if any(_is_seen(character) and character not in _QUOTES for character in bare) else ""


def _without_period(text: str) -> str:
    return text if text.endswith("..") else text.rstrip(".\u3002")
