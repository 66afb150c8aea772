"""Text cut where readers see the end of a character (after Unicode UAX 29, as far as `unicodedata` tells)."""

import unicodedata
from typing import Final

ZERO_WIDTH_JOINER: Final = "\u200d"

_REGIONAL_INDICATORS: Final = range(0x1F1E6, 0x1F200)
_SKIN_TONES: Final = range(0x1F3FB, 0x1F400)
_HANGUL_VOWELS_AND_TAILS: Final = range(0x1160, 0x1200)


def cut(text: str, most_characters: int) -> str:
    """The longest beginning with so many code points at most that ends between two characters as readers see them.

    One that is longer than that all by itself is cut inside.
    """
    if len(text) <= most_characters:
        return text
    end = most_characters
    while end > 0 and not _is_boundary(text, end):
        end -= 1
    return text[: end or most_characters]


def _is_boundary(text: str, place: int) -> bool:
    """Between `text[place - 1]` and `text[place]`."""
    before, after = text[place - 1], text[place]
    if _extends(after) or before == ZERO_WIDTH_JOINER:
        return False
    if ord(after) in _REGIONAL_INDICATORS and ord(before) in _REGIONAL_INDICATORS:
        return _flags_before(text, place) % 2 == 0
    return True


def _extends(character: str) -> bool:
    code = ord(character)
    is_joined = character == ZERO_WIDTH_JOINER or code in _SKIN_TONES or code in _HANGUL_VOWELS_AND_TAILS
    return is_joined or unicodedata.category(character) in {"Mn", "Mc", "Me"}


def _flags_before(text: str, place: int) -> int:
    """How many halves of flags stand there in a row."""
    start = place
    while start > 0 and ord(text[start - 1]) in _REGIONAL_INDICATORS:
        start -= 1
    return place - start
