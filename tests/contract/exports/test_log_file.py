"""Lines of a file stay lines, whoever else writes and whatever broke before."""

from pathlib import Path

import anyio
import msgspec

from infra.exports.log_file import LogFile
from tests.contract.exports.test_consumers import an_event


async def test_a_line_that_was_cut_off_spoils_no_other(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b'{"dedupe_key": "cut o')
    event = an_event()
    await LogFile(file, fsync=False).deliver(event)
    assert file.read_bytes().splitlines()[1] == event.body


async def test_many_writers_at_once_write_whole_lines(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    events = [an_event("x" * 100_000) for _ in range(40)]
    async with anyio.create_task_group() as writers:
        for event in events:
            writers.start_soon(LogFile(file, fsync=False).deliver, event)
    keys = {msgspec.json.decode(line)["dedupe_key"] for line in file.read_bytes().splitlines()}
    assert keys == {event.dedupe_key for event in events}


async def test_a_file_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    log = LogFile(file, fsync=True)
    await log.deliver(an_event())
    file.rename(tmp_path / "events.1")
    event = an_event()
    await log.deliver(event)
    assert file.read_bytes() == event.body + b"\n"
