"""The grammar of api.md 4.3, every state with every event."""

import pytest

from domain.streaming.events import StreamEvent
from domain.streaming.phase import Grammar, Phase, PhaseViolation
from tests.unit.domain.streaming.samples import CITATIONS, DELTA, DONE, ERROR, EVENTS, STARTED, TOOL

ALLOWED: dict[Phase, list[tuple[StreamEvent, Phase]]] = {
    Phase.IDLE: [(STARTED, Phase.STARTED)],
    Phase.STARTED: [
        (DELTA, Phase.STREAMING),
        (TOOL, Phase.STREAMING),
        (CITATIONS, Phase.CITED),
        (DONE, Phase.ENDED),
        (ERROR, Phase.ENDED),
    ],
    Phase.STREAMING: [
        (DELTA, Phase.STREAMING),
        (TOOL, Phase.STREAMING),
        (CITATIONS, Phase.CITED),
        (DONE, Phase.ENDED),
        (ERROR, Phase.ENDED),
    ],
    Phase.CITED: [(DONE, Phase.ENDED), (ERROR, Phase.ENDED)],
    Phase.ENDED: [],
}
STEPS = [(phase, event, after) for phase, steps in ALLOWED.items() for event, after in steps]
VIOLATIONS = [
    (phase, event)
    for phase, steps in ALLOWED.items()
    for event in EVENTS
    if event not in [allowed for allowed, _ in steps]
]


ROADS: dict[Phase, list[StreamEvent]] = {
    Phase.IDLE: [],
    Phase.STARTED: [STARTED],
    Phase.STREAMING: [STARTED, DELTA],
    Phase.CITED: [STARTED, DELTA, CITATIONS],
    Phase.ENDED: [STARTED, DONE],
}


def grammar_in(phase: Phase) -> Grammar:
    grammar = Grammar()
    for event in ROADS[phase]:
        grammar.advance(event)
    assert grammar.phase is phase
    return grammar


@pytest.mark.parametrize(("phase", "event", "after"), STEPS)
def test_an_event_in_its_place_moves_the_phase(phase: Phase, event: StreamEvent, after: Phase) -> None:
    grammar = grammar_in(phase)
    grammar.advance(event)
    assert grammar.phase is after


@pytest.mark.parametrize(("phase", "event"), VIOLATIONS)
def test_an_event_out_of_place_is_a_violation_and_changes_nothing(phase: Phase, event: StreamEvent) -> None:
    grammar = grammar_in(phase)
    with pytest.raises(PhaseViolation, match=f"{type(event).__name__} in {phase.name}"):
        grammar.advance(event)
    assert grammar.phase is phase
    for allowed, after in ALLOWED[phase][:1]:
        grammar.advance(allowed)
        assert grammar.phase is after


def test_every_phase_was_tried_with_every_event() -> None:
    assert len(STEPS) + len(VIOLATIONS) == len(Phase) * len(EVENTS)
