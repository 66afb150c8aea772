"""Titles are one line of what can be seen, whatever people write and models say (engine.md 6.4, api.md 3.3)."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.titles.graphemes import cut
from domain.titles.wording import MOST_CHARACTERS, first_line, plain, spoken_title

FAMILY = "👩\u200d👩\u200d👧\u200d👦"
PERSIAN = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
PLAIN = [
    ("  When  is\r\n\thigh water? ", "When is high water?"),
    ("bell\x07, escape\x1b[31m and delete\x7f", "bell , escape [31m and delete"),
    ("\u202egnp.exe\u202c \u2066inside\u2069", "gnp.exe inside"),
    ("\ufeffzero\u200bwidth\u2060 soft\u00adhyphen", "zerowidth softhyphen"),
    ("no\u00a0break \u3000wide\u2028line\u2029paragraph", "no break wide line paragraph"),
    (PERSIAN, PERSIAN),
    ("क\u094d\u200dष", "क\u094d\u200dष"),
    ("ends with\u200d \u200djoiners\u200c", "ends with joiners"),
    (f"{FAMILY} at home", f"{FAMILY} at home"),
    ("\u2764\ufe0f and \ufe0f", "\u2764\ufe0f and"),
    ("hidden\U000e0041\U000e0042 and \U000e0101varied", "hidden and varied"),
    ("שלום עולם", "שלום עולם"),
    ("café \u0065\u0301", "café \u0065\u0301"),
    ("private\ue000 and none\ufffe", "private and none"),
    ("a\u3164\u2800b", "ab"),
    ("new face \U0001fae8\U0001facf", "new face \U0001fae8\U0001facf"),
    ("\u200b\u2060\ufeff \u3164", ""),
    ("\u0301\u0302", ""),
    (" \n ", ""),
]


@pytest.mark.parametrize(("text", "shown"), PLAIN)
def test_only_what_is_seen_is_kept(text: str, shown: str) -> None:
    assert plain(text) == shown


FIRST_LINES = [
    ("Hello", "Hello"),
    ("word " * 16 + "beyond", ("word " * 16).strip()),
    ("x" * 80, "x" * 80),
    ("x" * 81, "x" * 80),
    ("x" * 79 + " y", "x" * 79),
    ("a" * 75 + " " + "b" * 10, "a" * 75),
    ("one\ntwo", "one two"),
    ("潮" * 100, "潮" * 80),
    ("e\u0301" * 60, "e\u0301" * 40),
    ("x" * 79 + "e\u0301", "x" * 79),
    ("x" * 78 + FAMILY, "x" * 78),
    ("x" * 79 + "🇫🇷", "x" * 79),
    ("🇫🇷" * 50, "🇫🇷" * 40),
    ("x" * 79 + "👍🏽", "x" * 79),
    ("e" + "\u0301" * 100, "e" + "\u0301" * 79),
    ("\u200b", None),
]


@pytest.mark.parametrize(("message", "title"), FIRST_LINES)
def test_a_message_is_cut_where_readers_see_an_end(message: str, title: str | None) -> None:
    assert first_line(message) == title


SPOKEN = [
    ("Title: \u0301", None),
    ("Tides at Brest", "Tides at Brest"),
    ('"Tides at Brest."', "Tides at Brest"),
    ("“Tides”", "Tides"),
    ("«\u00a0Marées\u00a0»", "Marées"),
    ("**Title:** Tides", "Tides"),
    ("Title: “Tides at Brest”", "Tides at Brest"),
    ("# Chat title: Tides", "Tides"),
    ("\n\n***\nTides\nBecause you asked about tides.", "Tides"),
    ("Title fights in boxing", "Title fights in boxing"),
    ("Who asks?", "Who asks?"),
    ("To be continued...", "To be continued..."),
    ("`SELECT` and `INSERT`", "`SELECT` and `INSERT`"),
    ("C++ in ten minutes", "C++ in ten minutes"),
    ("\u202eTides\x00", "Tides"),
    ("word " * 30, ("word " * 16).strip()),
    ("", None),
    ('""', None),
    ("* * *", None),
    ("\u200b\n\u200b", None),
]


@pytest.mark.parametrize(("answer", "title"), SPOKEN)
def test_a_models_wrapping_goes_and_its_title_stays(answer: str, title: str | None) -> None:
    assert spoken_title(answer) == title


@given(st.text(max_size=500))
def test_whatever_is_given_a_title_is_short_clean_and_stays_what_it_is(text: str) -> None:
    for title in (first_line(text), spoken_title(text)):
        if title is None:
            continue
        assert 0 < len(title) <= MOST_CHARACTERS
        assert title == title.strip()
        assert "\n" not in title
        assert not {unicodedata.category(each) for each in title} & {"Cc", "Cs", "Co", "Zl", "Zp"}
        assert plain(title) == title


@given(st.text(max_size=100), st.integers(min_value=1, max_value=100))
def test_a_cut_is_a_beginning_and_never_longer_than_allowed(text: str, most: int) -> None:
    beginning = cut(text, most)
    assert text.startswith(beginning)
    assert len(beginning) == min(len(text), most) or 0 < len(beginning) < most
