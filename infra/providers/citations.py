"""What an answer cites, in the form a client may be shown (providers-and-files.md 2.1). Nothing is ever fetched."""

import re
from urllib.parse import urlsplit

from domain.providers.events import Citation, CitationFound, Span
from domain.providers.request import CitedFile
from infra.providers.address_guard import is_public_host

MOST_CITATIONS = 50
MOST_SOURCES = 4 * MOST_CITATIONS
"""Sources of an answer that are looked at, doubles and refused ones among them."""
_LONGEST_URL = 2_048
_LONGEST_TITLE = 200
_LONGEST_SNIPPET = 300
_LONGEST_READ = 4 * _LONGEST_SNIPPET  # what is cleaned at all: no remote makes us look at a megabyte of title
_MOST_NESTED = 8
_TAG = re.compile(r"</?[A-Za-z!?][^<>]*>")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_NOT_IN_URL = re.compile('[\x00-\x20\x7f-\xa0\\\\<>"`\u2028-\u202e\u2066-\u2069\ud800-\udfff]')


class CitationList:
    """Lets each citation of one answer pass once, and at most 50 of them."""

    def __init__(self) -> None:
        self._seen: set[tuple[str | None, tuple[int, int] | None]] = set()
        self._count = 0
        self._looked_at = 0

    def may_look(self) -> bool:
        """Asked once before each source is cleaned, for that takes time: false when there were enough."""
        if self._looked_at == MOST_SOURCES or self._count == MOST_CITATIONS:
            return False
        self._looked_at += 1
        return True

    def add(self, citation: Citation | None) -> list[CitationFound]:
        """A place in the answer makes a citation another one; without a place the source was cited before or not."""
        if citation is None or self._count == MOST_CITATIONS:
            return []
        source = citation.url or citation.attachment_id
        place = None if citation.span is None else (citation.span.start, citation.span.end)
        if (source, place) in self._seen:
            return []
        self._seen |= {(source, place), (source, None)}
        self._count += 1
        return [CitationFound(citation)]


def file_citation(file: CitedFile | None, *texts: object, span: Span | None = None) -> Citation | None:
    """None for a file that is not the chat's to cite. The first usable text is the snippet, else our title."""
    if file is None:
        return None
    return Citation(
        source="file",
        title=file.title,
        attachment_id=file.attachment_id,
        snippet=_snippet(*texts) or file.title,
        span=span,
    )


def web_citation(url: object, title: object, *texts: object, span: Span | None = None) -> Citation | None:
    """None for an address that no reader should be sent to. The first usable text is the snippet, else the title."""
    host = _host_to_visit(url)
    if not isinstance(url, str) or host is None:
        return None
    shown = _untagged(title)[:_LONGEST_TITLE].strip() or host
    return Citation(source="web", title=shown, url=url, snippet=_snippet(*texts) or shown, span=span)


def span_of(start: object, end: object, length: int, shift: int = 0) -> Span | None:
    """The place `start` to `end` of a part that begins at `shift`; None unless it lies in `length` code points."""
    if type(start) is not int or type(end) is not int or not 0 <= start < end <= length - shift:
        return None
    return Span(start=start + shift, end=end + shift)


def _host_to_visit(url: object) -> str | None:
    if not isinstance(url, str) or len(url) > _LONGEST_URL or _NOT_IN_URL.search(url):
        return None
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or "@" in parts.netloc or not is_public_host(host):
        return None
    return host


def _snippet(*texts: object) -> str:
    return next((found for text in texts if (found := _plain(text)[:_LONGEST_SNIPPET].strip())), "")


def _untagged(value: object) -> str:
    """A tag inside a tag must not leave one behind; who nests them deeper than anybody writes has no brackets left."""
    text = _plain(value)
    for _ in range(_MOST_NESTED):
        before, text = text, _TAG.sub("", text)
        if text == before:
            return text
    return text.replace("<", "")


def _plain(value: object) -> str:
    """One line without controls and half characters."""
    if not isinstance(value, str):
        return ""
    return " ".join(_SURROGATE.sub("\ufffd", _CONTROL.sub(" ", value[:_LONGEST_READ])).split())
