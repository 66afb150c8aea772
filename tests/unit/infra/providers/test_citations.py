"""What a remote cites is shown only where a reader may go there, and only in one clean line."""

import time

import pytest

from domain.providers.events import Citation, CitationFound, Span
from domain.providers.request import CitedFile
from infra.providers.citations import (
    MOST_CITATIONS,
    MOST_SOURCES,
    CitationList,
    file_citation,
    span_of,
    web_citation,
)

REPORT = CitedFile(attachment_id="a-1", title="report.pdf")


def title_of(title: object) -> str:
    citation = web_citation("https://example.com/a", title)
    assert citation is not None
    return citation.title


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "http://example.com:8080/a?b=c#d",
        "HTTPS://Example.COM/x",
        "https://münchen.example/straße",
        "https://8.8.8.8/",
        "https://[2606:4700::1111]/x",
        "https://example.com/" + "a" * 2_028,
    ],
)
def test_a_public_web_address_is_cited_as_it_came(url: str) -> None:
    citation = web_citation(url, "T")
    assert citation is not None
    assert (citation.source, citation.url, citation.attachment_id) == ("web", url, None)


@pytest.mark.parametrize(
    "url",
    [
        None,
        7,
        ["https://example.com"],
        "",
        "example.com",
        "//example.com",
        "https:",
        "https:///path",
        "javascript:alert(1)",
        "JAVASCRIPT:alert(1)",
        "data:text/html,x",
        "ftp://example.com",
        "file:///etc/passwd",
        "java\nscript:alert(1)",
        "https://user@example.com",
        "https://user:pw@example.com",
        "https://@example.com",
        "https://example.com\\@evil.example",
        "https://exa mple.com",
        "https://example.com/\x00",
        "https://example.com/\u202egpj",
        "https://example.com/\ud800",
        'https://example.com/"onclick="x',
        "https://example.com:99999999/",
        "https://[::1",
        "https://127.0.0.1/",
        "https://127.0.0.1./",
        "https://10.0.0.8",
        "https://192.168.1.1",
        "https://169.254.169.254/latest",
        "https://100.64.0.1",
        "https://[::1]/",
        "https://[fd00::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://127.1/",
        "https://\uff11\uff12\uff17.0.0.1/",
        "https://127。0。0。1/",
        "https://127.0.0.\u00ad1/",
        "https://%31%32%37.0.0.1/",
        "https://localhost/",
        "https://localhost./",
        "https://app.localhost/",
        "https://example.com/" + "a" * 2_029,
    ],
)
def test_an_address_no_reader_should_be_sent_to_is_not_cited(url: object) -> None:
    assert web_citation(url, "T", "quoted") is None


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("Tides", "Tides"),
        ("  High\n\twater \x00\x9f ", "High water"),
        ("<b>Tides</b> of <script>alert(1)</script>", "Tides of alert(1)"),
        ("<<b>script>x", "x"),
        ("a < b > c", "a < b > c"),
        ("\u202etxt.exe", "txt.exe"),
        ("half \ud83d", "half \ufffd"),
        ("t" * 201, "t" * 200),
        ("<i></i>", "example.com"),
        ("", "example.com"),
        (None, "example.com"),
        ({"a": 1}, "example.com"),
    ],
)
def test_a_title_is_one_clean_line_or_the_host(title: object, shown: str) -> None:
    assert title_of(title) == shown


def test_a_huge_title_costs_nothing() -> None:
    assert len(title_of("<a" * 5_000_000)) <= 200


@pytest.mark.parametrize("depth", [1, 7, 8, 400])
def test_no_depth_of_tags_leaves_one_behind_or_takes_long(depth: int) -> None:
    began = time.process_time()
    for _ in range(200):
        title = title_of("<a" * depth + ">" * depth + " x")
    assert "<" not in title
    assert time.process_time() - began < 0.2


@pytest.mark.parametrize(
    ("texts", "snippet"),
    [
        (("quoted", "found"), "quoted"),
        ((None, " \n ", "found", "slice"), "found"),
        ((None, 7, ["x"]), "report.pdf"),
        (("s" * 301,), "s" * 300),
        (("two\nlines\x00",), "two lines"),
        (("half \ud83d",), "half \ufffd"),
    ],
)
def test_the_first_usable_text_is_the_snippet_and_else_the_title(texts: tuple[object, ...], snippet: str) -> None:
    assert file_citation(REPORT, *texts) == Citation(
        source="file", title="report.pdf", attachment_id="a-1", snippet=snippet
    )


def test_a_file_that_is_not_the_chats_is_not_cited() -> None:
    assert file_citation(None, "quoted") is None


def test_a_web_citation_without_a_text_shows_its_title() -> None:
    citation = web_citation("https://example.com", "", None)
    assert citation is not None
    assert citation.snippet == "example.com"


@pytest.mark.parametrize(
    ("start", "end", "shift", "span"),
    [
        (0, 10, 0, Span(start=0, end=10)),
        (2, 4, 6, Span(start=8, end=10)),
        (2, 5, 6, None),
        (0, 11, 0, None),
        (-1, 4, 0, None),
        (4, 4, 0, None),
        (5, 4, 0, None),
        (True, 4, 0, None),
        (0, 4.0, 0, None),
        (None, 4, 0, None),
        (0, "4", 0, None),
        (0, 10**30, 0, None),
    ],
)
def test_a_place_outside_the_answer_is_no_place(start: object, end: object, shift: int, span: Span | None) -> None:
    assert span_of(start, end, 10, shift) == span


def test_each_citation_passes_once() -> None:
    cited = CitationList()
    here, there = Span(start=0, end=4), Span(start=5, end=9)
    first = web_citation("https://example.com", "T", span=here)
    assert first is not None
    assert cited.add(first) == [CitationFound(first)]
    assert cited.add(web_citation("https://example.com", "another title", span=here)) == []
    assert cited.add(web_citation("https://example.com", "T")) == []
    assert len(cited.add(web_citation("https://example.com", "T", span=there))) == 1
    assert len(cited.add(file_citation(REPORT))) == 1
    assert cited.add(file_citation(REPORT)) == []
    assert cited.add(None) == []


def test_there_is_an_end_to_citing() -> None:
    cited = CitationList()
    found = [cited.add(web_citation(f"https://example.com/{number}", "T")) for number in range(MOST_CITATIONS + 9)]
    assert sum(map(len, found)) == MOST_CITATIONS
    assert not cited.may_look()


def test_there_is_an_end_to_looking_for_something_to_cite() -> None:
    cited = CitationList()
    looks = [cited.may_look() and cited.add(web_citation("file:///a", "T")) == [] for _ in range(MOST_SOURCES + 9)]
    assert sum(looks) == MOST_SOURCES
