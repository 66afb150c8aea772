"""Which rule of a script file a call follows, and what then happens."""

from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase

from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.events import (
    Accepted,
    Citation,
    CitationFound,
    Completed,
    Failed,
    ReasoningDelta,
    Span,
    TextDelta,
    ToolDone,
    ToolStart,
    UsageReport,
)
from domain.providers.request import ProviderRequest
from infra.providers.adapters.scripted.beats import FOR_EVER, Beat, Pause, ScriptedBug, Step, in_beats
from infra.providers.adapters.scripted.script import user_text
from infra.providers.adapters.scripted.script_file import (
    TERMINAL,
    BreakOff,
    Cite,
    Complete,
    Count,
    Fail,
    Hang,
    Match,
    Raise,
    Rule,
    Say,
    ScriptFile,
    ScriptStep,
    Source,
    Think,
    UseTool,
    Wait,
)


class ScriptedRules:
    """Counts calls and uses for as long as the process lives: it is meant for development and tests."""

    def __init__(self, script: ScriptFile) -> None:
        self.otherwise = script.otherwise
        self.seed = script.seed
        self._rules = script.rules
        self._calls: Counter[tuple[str | None, str]] = Counter()
        self._uses: Counter[int] = Counter()

    def beats(self, request: ProviderRequest) -> Iterator[Beat] | None:
        """Of the first rule that holds, which is then used once more; None if no rule does."""
        chat = request.pseudonyms.chat if request.pseudonyms else None
        self._calls[chat, request.purpose] += 1
        nth = self._calls[chat, request.purpose]
        for number, rule in enumerate(self._rules):
            spent = rule.times is not None and self._uses[number] >= rule.times
            if not spent and _holds(rule.match, request, nth):
                self._uses[number] += 1
                return in_beats(_told(rule))
        return None


def _holds(match: Match, request: ProviderRequest, nth: int) -> bool:
    text = user_text(request)
    return (
        match.text in {None, text}
        and (match.glob is None or fnmatchcase(text, match.glob))
        and (match.model is None or fnmatchcase(request.model, match.model))
        and match.purpose in {None, request.purpose}
        and match.nth in {None, nth}
    )


def _told(rule: Rule) -> Iterator[Step]:
    """The head of the response comes with the first thing that is said, and not with a failure before that."""
    accepted = False
    for step in (*rule.steps, BreakOff(eof=True)):
        if not (accepted or isinstance(step, (Wait, Fail, BreakOff, Raise))):
            accepted = True
            yield Accepted(200)
        yield from _happens(step)
        if isinstance(step, TERMINAL):
            return


def _happens(step: ScriptStep) -> Iterator[Step]:
    match step:
        case Wait(wait_ms=ms):
            yield Pause(ms)
        case Say():
            yield from _said(step)
        case Think(reasoning=text):
            yield ReasoningDelta(text)
        case UseTool():
            event = ToolStart if step.phase == "start" else ToolDone
            yield event(step.key, step.tool, step.details)
        case Cite(cite=source):
            yield CitationFound(_citation(source))
        case Count(usage=usage):
            yield UsageReport(usage)
        case _:
            yield _ending(step)


def _ending(step: Complete | Fail | Hang | BreakOff | Raise) -> Step:
    match step:
        case Complete(finish=finish):
            return Completed(finish=finish)
        case Fail(fail=kind, retry_after_ms=hint_ms):
            return _failed(kind, hint_ms)
        case Hang():
            return FOR_EVER
        case BreakOff():
            return _failed(FailureKind.INTERRUPTED, None)
        case Raise():
            return ScriptedBug("the script says so")


def _said(step: Say) -> Iterator[Step]:
    length, pieces = len(step.text), min(step.split, len(step.text))
    for number in range(pieces):
        if number:
            yield Pause(step.itl_ms)
        yield TextDelta(step.text[number * length // pieces : (number + 1) * length // pieces])


def _citation(source: Source) -> Citation:
    placed = source.start is not None and source.end is not None
    return Citation(
        source=source.source,
        title=source.title,
        url=source.url,
        attachment_id=source.attachment_id,
        snippet=source.snippet or source.title,
        span=Span(start=source.start or 0, end=source.end or 0) if placed else None,
    )


def _failed(kind: FailureKind, retry_after_ms: int | None) -> Failed:
    detail = f"scripted: {kind.value}"
    return Failed(failure=ProviderFailure(kind=kind, retry_after_ms=retry_after_ms, detail=detail))
