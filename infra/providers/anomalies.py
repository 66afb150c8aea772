"""What remotes do wrong without failing the call: repaired or ignored, and counted."""

from collections import Counter
from enum import StrEnum
from typing import TypeAlias


class Anomaly(StrEnum):
    INVALID_UTF8 = "invalid_utf8"
    FRAME_NOT_OBJECT = "frame_not_object"
    AFTER_TERMINAL = "after_terminal"
    UNKNOWN_FINISH = "unknown_finish"
    MISSING_FINISH = "missing_finish"
    MISSING_TERMINAL = "missing_terminal"
    UNOFFERED_TOOL_CALL = "unoffered_tool_call"
    EXCESSIVE_TOOL_CALL = "excessive_tool_call"
    BROKEN_MARKER = "broken_marker"
    INVALID_USAGE = "invalid_usage"
    TEXT_DIFFERS = "text_differs"
    RUNAWAY = "runaway"


Anomalies: TypeAlias = Counter[Anomaly]
