"""What is found in the log of a run, and what a disk that fails does to it."""

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any, Literal

import pytest

from weft.builtin.log_monitor import LogMonitor, build
from weft.builtin.settings import Log
from weft.errors import RunFolderError
from weft.monitoring import Monitoring
from weft.testing import FakeContext
from weft.values.blocks import BlockId, BlockState
from weft.values.events import (
    BlockChanged,
    Event,
    ExecutorStarted,
    ExecutorStopped,
    ManagerChanged,
    Notice,
    RunEnded,
    RunStarted,
    TaskMoved,
    TaskSubmitted,
    TryEnded,
)
from weft.values.states import TaskState

RUN: list[Event] = [
    RunStarted(0.5, "r1", "/runs/1", "script.py", "0.1"),
    ExecutorStarted(1.0, "cpu", "threads"),
    ManagerChanged(
        1.5, "cpu", BlockId("b"), "manager-1", "n1", "working", 1, 4, "3.11.7", "a==1,b"
    ),
    ManagerChanged(1.5, "cpu", BlockId("b"), "manager-1", "n1", "lost", 1, 4, reason="It fell."),
    TaskSubmitted(2.0, 0, "align", ()),
    TaskSubmitted(2.0, 1, "merge", (0,)),
    TaskMoved(3.0, 0, "align", TaskState.LAUNCHED, 1, "cpu"),
    TryEnded(4.0, 0, "align", 1, "cpu", "error", "ValueError: x", 1.5, "worker 1 on n1", 3.0, 1),
    TaskMoved(5.0, 0, "align", TaskState.DONE, 2, "cpu"),
    TaskMoved(
        6.0, 1, "merge", TaskState.FAILED, 1, "", "KeyError: 'k'", "worker 2 (pid 17) on n1", 5.0, 1
    ),
    Notice(7.0, "warning", "executor cpu", "a worker died"),
    Notice(7.5, "info", "checkpoint", "3 results are known"),
    ExecutorStopped(8.0, "cpu"),
    RunEnded(9.123, "r1", 1, 1, 0, 4),
]


ENDED = (
    "INFO    run r1 ended: 1 done, 1 failed, 0 cancelled; "
    "4 events were not told, monitors were too slow"
)


def written(folder: Path, **options: Any) -> list[str]:
    """The lines of the log after the run above, without their times."""
    monitor = build(Log(**options))
    monitor.start(FakeContext(folder))
    monitor.handle(RUN)
    monitor.close()
    monitor.close()
    return [line[24:] for line in (folder / "weft.log").read_text().splitlines()]


def test_the_log_tells_how_the_run_went_but_not_each_success(tmp_path: Path) -> None:
    lines = written(tmp_path)
    assert lines[0].startswith("INFO    run r1 of script.py started in /runs/1 (weft 0.1, times")
    assert lines[1:] == [
        "INFO    executor cpu started (threads)",
        (
            "INFO    manager-1 of cpu on n1 (block b) is working with 4 workers, Python 3.11.7, "
            "a==1, b"
        ),
        "WARNING manager-1 of cpu on n1 (block b) is lost: It fell.",
        (
            "WARNING task 0 align: try 1 on cpu, worker 1 on n1 ended by error, again in 1.5 s: "
            "ValueError: x"
        ),
        "ERROR   task 1 merge: failed on worker 2 (pid 17) on n1: KeyError: 'k'",
        "WARNING executor cpu: a worker died",
        "INFO    checkpoint: 3 results are known",
        "INFO    executor cpu stopped",
        ENDED,
    ]


@pytest.mark.parametrize(("level", "count"), [("error", 1), ("warning", 4), ("debug", 14)])
def test_the_level_chooses_what_is_written(tmp_path: Path, level: str, count: int) -> None:
    assert len(written(tmp_path, level=level)) == count


def test_at_debug_every_step_of_a_task_is_written(tmp_path: Path) -> None:
    lines = written(tmp_path, level="debug")
    assert "DEBUG   task 1 merge: submitted, needs 0" in lines
    assert "DEBUG   task 0 align: launched on cpu" in lines
    assert "DEBUG   task 0 align: done on cpu, try 2" in lines


@pytest.mark.parametrize("level", ["info", "warning", "error"])
def test_with_the_log_alone_a_task_that_succeeds_makes_no_event(
    tmp_path: Path, level: Literal["info", "warning", "error"]
) -> None:
    monitoring = Monitoring()
    monitoring.attach("log", build(Log(level=level)), FakeContext(tmp_path))
    monitoring.start()
    wanted = [state for state in TaskState if monitoring.moves[state]]
    assert wanted == [TaskState.FAILED]
    assert TaskSubmitted not in monitoring.wants
    monitoring.close()


def test_each_line_has_its_time_to_the_millisecond(tmp_path: Path) -> None:
    written(tmp_path)
    last = (tmp_path / "weft.log").read_text().splitlines()[-1]
    assert last[:24].endswith(":09.123 ")


def test_the_same_is_written_as_json_if_asked(tmp_path: Path) -> None:
    lines = written(tmp_path, json=True)
    objects = [json.loads(line) for line in (tmp_path / "weft.jsonl").read_text().splitlines()]
    assert len(objects) == len(lines)
    failed = next(one for one in objects if one["event"] == "TaskMoved")
    assert failed == {
        "event": "TaskMoved",
        "time": 6.0,
        "id": 1,
        "app": "merge",
        "state": "failed",
        "attempt": 1,
        "executor": "",
        "detail": "KeyError: 'k'",
        "place": "worker 2 (pid 17) on n1",
        "begun": 5.0,
        "seconds": 1,
    }


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    (tmp_path / "weft.log").touch(0o644)
    written(tmp_path, json=True)
    for name in ("weft.log", "weft.jsonl"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_no_text_can_pass_for_a_line_or_move_the_cursor(tmp_path: Path) -> None:
    monitor = build(Log())
    monitor.start(FakeContext(tmp_path))
    text = "one\n2026-01-01 00:00:00.000 INFO    forged\x1b[2Jé\u2028\r\udc80"
    monitor.handle([Notice(1.0, "error", "x", text)])
    monitor.close()
    data = (tmp_path / "weft.log").read_text()
    assert data.splitlines() == [
        data.splitlines()[0],
        r"    2026-01-01 00:00:00.000 INFO    forged\x1b[2Jé\u2028\r\udc80",
    ]


def test_a_file_that_cannot_be_written_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "weft.log").mkdir()
    with pytest.raises(RunFolderError, match="cannot be used") as raised:
        build(Log()).start(FakeContext(tmp_path))
    assert "Is a directory" in raised.value.reason


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "weft.log").symlink_to(tmp_path / "victim")
    with pytest.raises(RunFolderError):
        build(Log()).start(FakeContext(tmp_path))
    assert not (tmp_path / "victim").exists()


def open_now() -> set[str]:
    return {path.name for path in Path("/dev/fd").iterdir()}


def test_a_start_that_fails_half_way_leaves_no_file_open(tmp_path: Path) -> None:
    (tmp_path / "weft.jsonl").mkdir()
    before = open_now()
    monitor = build(Log(json=True))
    with pytest.raises(RunFolderError):
        monitor.start(FakeContext(tmp_path))
    monitor.close()
    assert open_now() == before


def test_a_failing_disk_is_reported_once_and_the_gap_is_told_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = FakeContext(tmp_path)
    monitor: LogMonitor = build(Log())
    monitor.start(context)
    usual = os.write
    full = True

    room = 10

    def write(descriptor: int, data: bytes) -> int:
        nonlocal room
        if not full:
            return usual(descriptor, data)
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        data, room = data[:room], 0
        return usual(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    for n in range(5):
        monitor.handle([Notice(float(n), "info", "x", f"text {n}")])
    full = False
    monitor.handle([Notice(9.0, "info", "x", "after")])
    monitor.handle([Notice(9.0, "info", "x", "later")])
    monitor.close()

    assert len(context.notices) == 1
    level, text = context.notices[0]
    assert level == "warning"
    assert "No space left on device" in text
    lines = (tmp_path / "weft.log").read_text().splitlines()
    assert [line[24:] for line in lines if "x:" in line][-2:] == [
        "INFO    x: after",
        "INFO    x: later",
    ]
    assert "(5 earlier lines could not be written)" in lines


def test_what_becomes_of_a_block_is_a_line(tmp_path: Path) -> None:
    monitor = build(Log())
    monitor.start(FakeContext(tmp_path))
    monitor.handle(
        [
            BlockChanged(1.0, "cpu", "cpu-1", "", BlockState.REQUESTED),
            BlockChanged(2.0, "cpu", "cpu-1", "4711", BlockState.READY, managers=2),
            BlockChanged(3.0, "cpu", "cpu-1", "4711", BlockState.LOST, "NODE_FAIL"),
        ]
    )
    monitor.close()

    assert [line[24:] for line in (tmp_path / "weft.log").read_text().splitlines()] == [
        "INFO    block cpu-1 is requested",
        "INFO    block cpu-1 (job 4711) is ready with 2 managers",
        "INFO    block cpu-1 (job 4711) is lost: NODE_FAIL",
    ]
