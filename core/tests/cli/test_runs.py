"""``weft runs``: what it says of runs that have ended, go on, or were broken off."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import weft
from weft.cli import main
from weft.errors import EventLogError
from weft.eventlog.reader import EventLogReader
from weft.eventlog.runs import Run, find_run, open_run, summaries
from weft.eventlog.writer import NAME, EventLogWriter
from weft.values.events import RunStarted
from weft.values.states import TaskState


@weft.python_app
def shaky(number: int) -> int:
    if number % 3 == 0:
        raise ValueError(f"no strand {number}")
    return number


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are broken for a terminal of a known width, which other tests may have named."""
    monkeypatch.delenv("COLUMNS", raising=False)


def call(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["runs", *words])
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs: one that has ended, one with another id, and a folder without a log."""
    folder = tmp_path_factory.mktemp("runs")
    for count in (6, 2):
        with weft.Session(weft.Config(run_dir=folder, name="survey.py")) as session:
            for number in range(count):
                shaky.options(session=session)(number).exception(60)
    with weft.Session(weft.Config(run_dir=folder, event_log=False)):
        pass
    return folder


HANGS = """
import os, sys, time
import weft

@weft.python_app
def task(number):
    return number

with weft.load(weft.Config(run_dir=sys.argv[1], name="night.py")) as session:
    [task(number).result() for number in range(5)]
    print("ready", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def living(tmp_path: Path) -> Iterator[Any]:
    """A run that goes on until it is killed, in a folder of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", HANGS, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.kill()
        process.wait(60)
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()


def test_a_run_is_running_until_it_is_killed_and_then_broken_off(
    tmp_path: Path, living: Any
) -> None:
    with open_run(tmp_path / "0000") as run:
        deadline = time.monotonic() + 60
        while run.story.counts[TaskState.DONE] < 5:  # the monitors' thread gathers for a moment
            assert time.monotonic() < deadline
            time.sleep(0.01)
            run.refresh()
        (one,) = summaries(tmp_path)
        assert (one.state, one.program) == ("running", "night.py")
        states: list[str] = [run.state]
        living.send_signal(signal.SIGKILL)
        assert living.wait(60) == -signal.SIGKILL
        run.refresh()
        states.append(run.state)
        assert states == ["running", "broken off"]
        assert run.story.counts[TaskState.DONE] == 5
    (one,) = summaries(tmp_path)
    assert one.state == "broken off"


def test_runs_are_listed_with_the_latest_first(
    base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("list", "--run-dir", str(base)) == 0
    head, second, first = capsys.readouterr().out.splitlines()
    assert head.split() == ["RUN", "STARTED", "TOOK", "TASKS", "FAILED", "STATE", "PROGRAM"]
    assert second.startswith("0001")
    assert first.startswith("0000")
    assert first.endswith("survey.py")
    assert "ended" in first

    assert call("list", "--run-dir", str(base), "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert [(one["done"], one["failed"], one["state"]) for one in data] == [
        (1, 1, "ended"),
        (4, 2, "ended"),
    ]


def test_a_run_is_shown_with_its_failures_and_its_apps(
    base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("show", "0000", "--run-dir", str(base)) == 0
    text = capsys.readouterr().out
    assert "0000 survey.py  ended" in text
    assert "6 tasks: 4 done, 2 failed" in text
    assert "2 x shaky: ValueError: no strand 0 (task 0 was the first)" in text
    assert "executor threads: 6 tries" in text

    assert call("show", "0000", "--run-dir", str(base), "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["counts"]["failed"] == 2
    assert data["apps"][0]["app"] == "shaky"
    assert data["failures"][0]["error"] == "ValueError"
    assert data["log"]["missing_chunks"] == 0


def test_a_run_is_found_by_any_of_its_names(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with EventLogReader(base / "0000") as reader:
        assert reader.header is not None
        run_id = str(reader.header.about["run"])
    assert find_run("latest", base) == base / "0001"
    for name in ("0000", "0", run_id, run_id[:9], str(base / "0000"), str(base / "0000" / NAME)):
        assert find_run(name, base).as_posix().startswith(str(base / "0000"))


def test_names_that_fit_no_run_or_several_are_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(EventLogError, match="no name of a run"):
        find_run("spring", base)
    with pytest.raises(EventLogError, match="no name of a run"):
        find_run("latest", tmp_path)
    with pytest.raises(EventLogError, match=r"no events\.weft"):
        find_run(str(base / "0002"), base)
    for number, run_id in enumerate(("abc1", "abc2")):
        (tmp_path / f"{number:04}").mkdir()
        EventLogWriter(tmp_path / f"{number:04}" / NAME, {"run": run_id}, pytest.fail).close()
    with pytest.raises(EventLogError, match="2 runs"):
        find_run("abc", tmp_path)
    assert find_run("abc2", tmp_path) == tmp_path / "0001"


def test_logs_that_cannot_be_read_are_among_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, content in (("0000", b""), ("0001", b"junk\n"), ("0002", b"")):
        (tmp_path / name).mkdir()
        (tmp_path / name / NAME).write_bytes(content)
    log = EventLogWriter(tmp_path / "0002" / NAME, {}, pytest.fail)
    log.write([RunStarted(1.0, "id", "folder", "x.py", "0.1")])
    log.close()
    assert call("list", "--run-dir", str(tmp_path)) == 0
    _, third, second, first = capsys.readouterr().out.splitlines()
    assert "broken off" in third
    assert "no event log" in second
    assert first.startswith("0000")
    assert call("show", "0000", "--run-dir", str(tmp_path)) == 0
    assert "nothing was written yet" in capsys.readouterr().out
    assert call("list", "--run-dir", str(tmp_path / "nowhere")) == 0
    assert "No run" in capsys.readouterr().out


def test_damage_is_told_and_the_rest_is_shown(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bytearray((base / "0000" / NAME).read_bytes())
    begin = data.index(b"\xf7wE1")
    data[begin:begin] = b"ten bytes!"
    (tmp_path / NAME).write_bytes(data)
    assert call("show", str(tmp_path)) == 0
    text = capsys.readouterr().out
    assert "The log is damaged: 0 chunks missing, 10 bytes passed over" in text
    assert "6 tasks: 4 done, 2 failed" in text


def test_a_run_is_reported_as_text_and_as_a_page(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("report", "0", "--run-dir", str(base)) == 0
    text = capsys.readouterr().out
    assert text.startswith("0000 survey.py: ended, ")
    assert "2 x shaky: ValueError: no strand 0 (task 0 was the first)" in text
    assert "WHERE THE TIME OF THE TASKS WENT" in text

    file = tmp_path / "report.html"
    assert call("report", "0", "--run-dir", str(base), "--html", str(file)) == 0
    assert "ValueError: no strand 0" in file.read_text()
    assert call("report", "0", "--run-dir", str(base), "--html", str(tmp_path / "no" / "x")) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_two_runs_are_compared(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("compare", "0", "latest", "--run-dir", str(base)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["0000", "0001"]
    assert ["tasks", "6", "2", "x", "0.33"] in [line.split() for line in lines]
    assert call("compare", "0", "spring", "--run-dir", str(base)) == 1


def test_a_log_that_is_cut_anywhere_has_a_report(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = (base / "0000" / NAME).read_bytes()
    told = set()
    for cut in {*range(0, len(data), max(1, len(data) // 40)), len(data) - 1}:
        (tmp_path / NAME).write_bytes(data[:cut])
        assert call("report", str(tmp_path)) in (0, 1)
        told.add(capsys.readouterr().out.splitlines()[2:3] == [])
    assert False in told


def test_a_log_is_read_in_pieces_by_those_who_have_other_things_to_do(base: Path) -> None:
    with open_run(base / "0000") as whole, Run(base / "0000", read=False) as run:
        sizes = []
        while (batch := run.read()) is not None:
            sizes.append(len(batch))
            assert run.story.events == sum(sizes)
        assert sum(sizes) == run.story.events == whole.story.events
        assert run.state == whole.state == "ended"
        assert run.offset == run.path.stat().st_size
        assert run.same(run.path.stat())
        assert not run.same(base.stat())
