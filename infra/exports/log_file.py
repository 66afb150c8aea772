"""Events as lines of a file, one JSON object each, for whoever collects log files."""

import fcntl
import os
from pathlib import Path

from anyio import to_thread
from typing_extensions import override

from domain.audit.events import OutgoingEvent
from domain.audit.ports import Consumer
from domain.jobs.retries import JobFailed

_FOR_OURSELVES = 0o640


class LogFile(Consumer):
    """Any number of processes may write to it, and it may be moved away at any time: a new one is begun.

    With `fsync` a line is on the disk before its event counts as delivered; without, the machine may lose the last
    seconds when it crashes.
    """

    def __init__(self, path: Path, *, fsync: bool) -> None:
        self._path = path
        self._fsync = fsync

    @override
    async def deliver(self, event: OutgoingEvent) -> None:
        try:
            await to_thread.run_sync(self._append, event.body + b"\n")
        except OSError as fault:
            raise JobFailed("sink_unavailable") from fault

    def _append(self, line: bytes) -> None:
        file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _FOR_OURSELVES)
        try:
            # Released with the file. Whoever was killed in the middle of a line has left it without its end.
            fcntl.flock(file, fcntl.LOCK_EX)
            size = os.fstat(file).st_size
            if size and os.pread(file, 1, size - 1) != b"\n":
                line = b"\n" + line
            while line:
                line = line[os.write(file, line) :]
            if self._fsync:
                os.fsync(file)
        finally:
            os.close(file)
