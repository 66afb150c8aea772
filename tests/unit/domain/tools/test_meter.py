"""Calls are counted as they start and end, and the one too many is told."""

from domain.providers.events import ToolName
from domain.tools.calls import ToolCalls
from domain.tools.meter import ToolMeter


def test_the_call_beyond_the_limit_is_refused_and_does_not_count() -> None:
    meter = ToolMeter({ToolName.WEB_SEARCH: 2})
    assert [meter.start(ToolName.WEB_SEARCH) for _ in range(3)] == [True, True, False]
    assert (meter.starts[ToolName.WEB_SEARCH], meter.exceeded) == (2, ToolName.WEB_SEARCH)


def test_a_limit_of_nothing_refuses_the_first_call() -> None:
    meter = ToolMeter({ToolName.CODE_INTERPRETER: 0})
    assert not meter.start(ToolName.CODE_INTERPRETER)


def test_a_tool_without_a_limit_may_be_called_again_and_again() -> None:
    meter = ToolMeter({ToolName.WEB_SEARCH: 0})
    assert all(meter.start(ToolName.FUNCTION_CALL) for _ in range(100))
    assert meter.exceeded is None


def test_only_calls_that_ended_are_completed() -> None:
    meter = ToolMeter(dict.fromkeys(ToolName, 9))
    for tool in (ToolName.WEB_SEARCH, ToolName.FILE_SEARCH, ToolName.FILE_SEARCH):
        meter.start(tool)
    meter.done(ToolName.FILE_SEARCH)
    assert meter.completed == ToolCalls(file_search=1)


def test_calls_of_a_tool_without_a_limit_are_counted_and_not_booked() -> None:
    meter = ToolMeter({})
    meter.start(ToolName.WEB_SEARCH)
    meter.done(ToolName.WEB_SEARCH)
    assert (meter.dones[ToolName.WEB_SEARCH], meter.completed) == (1, ToolCalls())
