"""Writing event logs: on disks that fail, by processes that are killed."""

import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from weft.errors import RunFolderError
from weft.eventlog.reader import EventLogReader, read_events
from weft.eventlog.writer import NAME, EventLogWriter
from weft.values.events import BEGUN, Notice, TaskMoved
from weft.values.states import TaskState


def moved(number: int) -> TaskMoved:
    return TaskMoved(float(number), number, "app", TaskState.DONE)


def quiet(text: str) -> None:
    raise AssertionError(text)


def test_what_is_written_is_read_and_belongs_to_its_owner(tmp_path: Path) -> None:
    log = EventLogWriter(tmp_path / NAME, {"events": "1.0", "run": "ab"}, quiet)
    log.write([moved(1), (TaskMoved, 2.0, 2, "app", TaskState.FAILED)])
    log.write([moved(3)])
    log.close()
    log.close()

    with EventLogReader(tmp_path) as reader:
        events = list(reader.new(final=True))
        assert reader.header is not None
        assert reader.header.about == {"events": "1.0", "run": "ab"}
        assert (reader.missing, reader.skipped) == (0, 0)
    assert [(one.id, one.state) for one in events] == [
        (1, TaskState.DONE),
        (2, TaskState.FAILED),
        (3, TaskState.DONE),
    ]
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600


def test_a_folder_that_cannot_be_written_is_an_error_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match=r"events\.weft"):
        EventLogWriter(tmp_path / "file" / NAME, {}, quiet)
    (tmp_path / NAME).symlink_to(tmp_path / "file")
    with pytest.raises(RunFolderError):
        EventLogWriter(tmp_path / NAME, {}, quiet)


def test_a_disk_that_is_full_when_the_log_begins_is_an_error_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(RunFolderError, match="No space left"):
        EventLogWriter(tmp_path / NAME, {}, quiet)


@pytest.mark.parametrize("fits", [0, 1, 30])
def test_a_disk_that_fills_and_recovers_leaves_a_gap_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fits: int
) -> None:
    told: list[str] = []
    log = EventLogWriter(tmp_path / NAME, {}, told.append)
    log.write([moved(1)])
    write, room = os.write, fits

    def nearly_full(file: int, data: bytes) -> int:
        nonlocal room
        if room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        took = write(file, data[:room])
        room -= took
        return took

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", nearly_full)
        log.write([moved(2), moved(3)])
        room = fits
        log.write([(BEGUN, 4.0, 4, "app", "threads")])  # which are two events
    assert log.unwritten == 4
    log.write([moved(5)])
    log.write([moved(6)])
    log.close()

    assert len(told) == 1
    assert "No space left on device" in told[0]
    with EventLogReader(tmp_path) as reader:
        first, gap, fifth, sixth = reader.new(final=True)
        assert (reader.missing, reader.skipped) == (0, 0)
    assert [one.id for one in (first, fifth, sixth)] == [1, 5, 6]
    assert isinstance(gap, Notice)
    assert gap.text.startswith("4 events before this are missing")


def test_a_piece_that_cannot_be_taken_back_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    log = EventLogWriter(tmp_path / NAME, {}, told.append)
    write, calls = os.write, 0

    def torn(file: int, data: bytes) -> int:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise OSError(errno.EIO, "Input/output error")
        return write(file, data[:25])

    def refuse(*_args: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", torn)
        patch.setattr(os, "ftruncate", refuse)
        log.write([moved(1)])
    log.write([moved(2)])
    log.close()
    assert len(told) == 1
    with EventLogReader(tmp_path) as reader:
        gap, second = reader.new(final=True)
        assert reader.skipped == 25
    assert isinstance(gap, Notice)
    assert second.id == 2


KILLED = """
import os, signal, sys
from pathlib import Path
from weft.eventlog.writer import EventLogWriter
from weft.values.events import TaskMoved
from weft.values.states import TaskState
log = EventLogWriter(Path(sys.argv[1]), {}, print)
for number in range(1000):
    log.write([TaskMoved(1.0, number, "app", TaskState.DONE)])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_that_is_killed_leaves_all_that_it_wrote(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path / NAME], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    assert [one.id for one in read_events(tmp_path)] == list(range(1000))
