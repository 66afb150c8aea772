"""Text of a query option into words, strings and punctuation, in time linear in its length."""

import re
from itertools import islice
from typing import Final

from domain.errors import InvalidRequest

END: Final = ""
MARKS: Final = frozenset({"(", ")", ",", END})
QUOTE: Final = "'"

BLANKS: Final = " \t"
_REFUSED: Final = re.compile("[\0\ud800-\udfff]")
_WORD: Final = r"[^\s'(),]++"
_STRING: Final = r"'(?:[^']++|'')*+'"
_MARK: Final = r"[(),]"
_REST: Final = r".++"  # what is no token ends the reading, so that no quote is looked for twice
_NEXT: Final = re.compile(rf"[ \t]*+({_WORD}(?!')|{_STRING}(?![^ \t),(])|{_MARK}|\Z|{_REST})", re.DOTALL)
_TOKEN: Final = re.compile(rf"{_WORD}|{_STRING}|{_MARK}")


class Tokens:
    """Stands before one token. Words are bare names, operators and literals; strings keep their quotes."""

    def __init__(self, text: str) -> None:
        self._text = text.rstrip(BLANKS)
        found: list[str] = _NEXT.findall(self._text)
        self._tokens = [*found, END]  # the second END, so that one can always look one further
        self._at = 0

    @property
    def here(self) -> str:
        return self._tokens[self._at]

    @property
    def ahead(self) -> str:
        return self._tokens[self._at + 1]

    @property
    def place(self) -> int:
        """The number of the character where the token begins, counted from 1."""
        found = next(islice(_NEXT.finditer(self._text), self._at, None), None)
        return 1 + (len(self._text) if found is None else found.start(1))

    def take(self) -> str:
        """END cannot be taken."""
        token = self._tokens[self._at]
        self._at += 1
        return token

    def has_more_words_than(self, limit: int) -> bool:
        """Words and strings."""
        return len(self._tokens) > limit and sum(token not in MARKS for token in self._tokens) > limit

    def find_unreadable(self) -> bool:
        """Whether a part of the text is no token. It holds all the rest of the text, and is what stands here then."""
        last = len(self._tokens) - 3
        if last < 0 or _TOKEN.fullmatch(self._tokens[last]):
            return False
        self._at = last
        return True


def refuse_bad_text(option: str, text: str) -> None:
    """Raises InvalidRequest for what no option may hold (api.md 1.3)."""
    if _REFUSED.search(text):
        raise InvalidRequest.of(option, "Text must not contain U+0000 or lone surrogates.", "invalid_value")
