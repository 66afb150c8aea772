"""What a code interpreter printed, as a client may see it (providers-and-files.md 1.12)."""

import re

from infra.providers.members import mappings, text
from infra.providers.text_repair import TextRepair

_LONGEST = 8_192
_LONGEST_READ = 4 * _LONGEST
_TRUNCATED = "...[truncated]"
_REMOTE_ID = re.compile(
    r"\b(?:resp|msg|chatcmpl|cmpl|file|cfile|vs|batch|asst|thread|run|call|fc|rs|ws|ci|fs|cntr|item|req)"
    r"[_-](?=[A-Za-z_-]{0,64}\d)[\w-]{8,}"
)
_SANDBOX_PATH = re.compile(r"(?:sandbox:)?/mnt/data/?")


def interpreter_output(outputs: object) -> str:
    """The logs, one after the other; without the remote's ids and the paths of its sandbox; at most 8192 characters."""
    logs = [text(item.get("logs")) for item in mappings(outputs) if item.get("type", "logs") == "logs"]
    repair = TextRepair()
    shown = repair.feed("\n".join(filter(None, logs))[:_LONGEST_READ]) + repair.flush()
    shown = _SANDBOX_PATH.sub("", _REMOTE_ID.sub("[id]", shown))
    return shown if len(shown) <= _LONGEST else shown[:_LONGEST] + _TRUNCATED
