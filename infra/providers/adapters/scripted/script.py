"""What a scripted model says and when: pure, deterministic, without a clock."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain, cycle, islice, repeat

import msgspec

from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.events import (
    Accepted,
    Citation,
    CitationFound,
    Completed,
    Failed,
    Finish,
    ProviderEvent,
    Span,
    TextDelta,
    Usage,
)
from domain.providers.request import CitedFile, ProviderRequest, UserText
from infra.providers.adapters.scripted.beats import FOR_EVER, Beat, Pause, Step, in_beats
from infra.providers.adapters.scripted.name import FailAs, MockModel
from infra.providers.adapters.scripted.tools import tool_calls
from infra.providers.adapters.scripted.words import random_words
from infra.providers.citations import file_citation

_DEFAULT_TOKENS = 32
_MOST_CITATIONS = 20
_TOKEN = re.compile(r"\s*\S+\s*")
_SHORTEST_SENTENCE = 5
_FAILURES = {
    FailAs.SERVER: FailureKind.SERVER_ERROR,
    FailAs.RATE: FailureKind.RATE_LIMITED,
    FailAs.TIMEOUT: FailureKind.TIMEOUT,
    FailAs.AUTH: FailureKind.AUTH,
    FailAs.CONTEXT: FailureKind.CONTEXT_LENGTH,
    FailAs.OVERLOAD: FailureKind.OVERLOADED,
    FailAs.EOF: FailureKind.INTERRUPTED,
}
_RATE_HINT_MS = 2_000


def script(model: MockModel, request: ProviderRequest, default_seed: int) -> Iterator[Beat]:
    """The whole call."""
    return in_beats(_steps(model, request, default_seed))


def _steps(model: MockModel, request: ProviderRequest, default_seed: int) -> Iterator[Step]:
    yield Pause(model.ttft_ms)
    stop = _stop(model)
    if stop is not None and stop.fails and stop.after == 0:
        yield _ending(model.fail_as, None)
        return
    yield Accepted(200)
    yield from tool_calls(model.tools, request.tools, model.itl_ms)
    answer, limit = _Answer(), request.max_output_tokens
    wanted = _tokens(model, request, default_seed)
    for token in islice(wanted, min(stop.after, limit) if stop else limit):
        if answer.tokens:
            yield Pause(model.itl_ms)
        yield answer.say(token)
    usage = Usage(input_tokens=_words_in(request), output_tokens=answer.tokens)
    if stop is not None:
        yield _ending(model.fail_as, usage) if stop.fails else FOR_EVER
        return
    yield from _citations(model.citations, request.citation_index.values(), answer.sentences)
    finish = Finish.STOP if next(wanted, None) is None else Finish.LENGTH
    yield Completed(finish=finish, usage=usage)


class _Stop(msgspec.Struct, frozen=True):
    """Where the call ends early, or at the latest instead of completing."""

    after: int
    fails: bool


def _stop(model: MockModel) -> _Stop | None:
    fail, hang = model.fail_after, model.hang_after
    if fail is not None and (hang is None or fail <= hang):
        return _Stop(fail, fails=True)
    return None if hang is None else _Stop(hang, fails=False)


class _Answer:
    """What has been said so far, with the places of its sentences for citations to point at."""

    def __init__(self) -> None:
        self.tokens = 0
        self.sentences: list[Span] = []
        self._length = 0
        self._sentence_start = 0

    def say(self, token: str) -> TextDelta:
        self.tokens += 1
        word = token.rstrip()
        if word.endswith((".", "!", "?")) and len(self.sentences) < _MOST_CITATIONS:
            self.sentences.append(Span(start=self._sentence_start, end=self._length + len(word)))
            self._sentence_start = self._length + len(token)
        self._length += len(token)
        return TextDelta(token)


def _citations(count: int, files: Iterable[CitedFile], sentences: list[Span]) -> Iterator[Step]:
    """The files of the chat, then made-up pages."""
    spans = cycle(sentences) if sentences else repeat(None)
    sources = chain(files, repeat(None))
    for number, file, span in zip(range(1, count + 1), sources, spans, strict=False):
        title, url = f"Mock source {number}", f"https://example.invalid/mock/{number}"
        page = Citation(source="web", title=title, url=url, snippet=title, span=span)
        yield CitationFound(file_citation(file, span=span) or page)


def _ending(kind: FailAs, usage: Usage | None) -> ProviderEvent:
    if kind is FailAs.FILTER:
        return Completed(finish=Finish.CONTENT_FILTER, usage=usage)
    hint = _RATE_HINT_MS if kind is FailAs.RATE else None
    return Failed(failure=ProviderFailure(kind=_FAILURES[kind], retry_after_ms=hint, detail=f"scripted: {kind}"))


def _tokens(model: MockModel, request: ProviderRequest, default_seed: int) -> Iterator[str]:
    text = user_text(request)
    if model.echo:
        return _echo(text, model.tokens)
    seed = default_seed if model.seed is None else model.seed
    total = _DEFAULT_TOKENS if model.tokens is None else model.tokens
    return _prose((str(seed), model.name, text, str(len(request.items))), total)


def _echo(text: str, total: int | None) -> Iterator[str]:
    """The text as it is, or repeated and cut to so many tokens."""
    tokens = _TOKEN.findall(text)
    if total is None or not tokens:
        return iter(tokens)
    seam = tokens[-1] if tokens[-1][-1].isspace() else tokens[-1] + " "
    return islice(cycle([*tokens[:-1], seam]), total)


def _prose(key: tuple[str, ...], total: int) -> Iterator[str]:
    """Sentences of random words; the last one ends with the text."""
    left = 0
    for position, (word, number) in enumerate(islice(random_words(key), total), start=1):
        if left == 0:
            word, left = word.capitalize(), _SHORTEST_SENTENCE + number % 8  # noqa: PLW2901  a sentence opens
        left -= 1
        if position == total:
            yield f"{word}."
        else:
            yield f"{word} " if left else f"{word}. "


def user_text(request: ProviderRequest) -> str:
    """What the model is to answer."""
    return next((item.text for item in reversed(request.items) if isinstance(item, UserText)), "")


def _words_in(request: ProviderRequest) -> int:
    texts = [request.instructions or "", *(item.text for item in request.items)]
    return sum(len(text.split()) for text in texts)
