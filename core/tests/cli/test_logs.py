"""``weft logs``, and what ``weft runs show --task`` says of one task."""

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import weft
from weft.builtin.processes.settings import Processes
from weft.cli import main
from weft.eventlog.runs import events_of_run, open_run
from weft.eventlog.story import RunStory
from weft.eventlog.writer import NAME, EventLogWriter
from weft.values.events import (
    LogLine,
    ResourceSample,
    RunEnded,
    RunStarted,
    TaskDetails,
    TaskMoved,
    TaskSubmitted,
)
from weft.values.states import TaskState

BOUND = 60.0


@weft.python_app
def aligned(number: int) -> int:
    import logging

    logging.getLogger("strand").warning("attention\x1b[31m %d", number)
    return number


@weft.python_app
def other() -> None:
    import logging

    logging.getLogger("strand").error("one\ntwo")


@weft.python_app
def failing(name: str, depth: int = 1, outputs: Any = ()) -> None:
    raise ValueError("bad\x1b[2J genes")


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose tasks logged something, on processes, with samples; and one that did not."""
    folder = tmp_path_factory.mktemp("runs")
    config = weft.Config(
        run_dir=folder, executors=[Processes(max_workers=1)], resource_samples=600.0
    )
    with weft.Session(config) as session:
        for number in range(2):
            aligned.options(session=session)(number).result(BOUND)
        other.options(session=session)().result(BOUND)
    with weft.Session(weft.Config(run_dir=folder)):
        pass
    return folder


def call(base: Path, *words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--run-dir", str(base)])
    assert isinstance(ended.value.code, int)
    return ended.value.code


Capsys = pytest.CaptureFixture[str]


def test_lines_are_shown_with_their_task_and_nothing_a_terminal_obeys(
    base: Path, capsys: Capsys
) -> None:
    assert call(base, "logs", "0") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(r"task 0 (aligned) WARNING  strand: attention\x1b[31m 0")
    assert lines[1].endswith(r"task 1 (aligned) WARNING  strand: attention\x1b[31m 1")
    assert lines[2].endswith("task 2 (other) ERROR    strand: one")
    assert lines[3] == "    two"
    assert len(lines) == 4


@pytest.mark.parametrize(
    ("words", "tasks"),
    [
        (["--task", "1"], [1]),
        (["--app", "other"], [2]),
        (["--level", "error"], [2]),
        (["--level", "warning", "--app", "aligned"], [0, 1]),
        (["--app", "nobody"], []),
        (["--follow"], [0, 1, 2]),
    ],
)
def test_lines_are_chosen(base: Path, capsys: Capsys, words: list[str], tasks: list[int]) -> None:
    assert call(base, "logs", "0", "--json", *words) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["id"] for one in found] == tasks
    assert all(one["event"] == "LogLine" and one["app"] for one in found)


def test_where_there_are_none_that_is_said(base: Path, capsys: Capsys) -> None:
    assert call(base, "logs") == 0
    assert capsys.readouterr().out == "The tasks of 0001 have told of no line.\n"
    assert call(base, "logs", "0", "--app", "nobody") == 0
    assert "no line of that kind" in capsys.readouterr().out
    assert call(base, "logs", "spring") == 1


def test_a_task_is_shown_with_what_it_used_and_said(base: Path, capsys: Capsys) -> None:
    assert call(base, "runs", "show", "0", "--task", "2") == 0
    text = capsys.readouterr().out
    assert text.startswith("task 2 (other)  done\nworker ")
    assert "PROCESSES" in text
    assert "ACCELERATORS" not in text
    assert "ERROR    strand: one\n    two\n" in text

    assert call(base, "runs", "show", "0", "--task", "1", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["id"], data["app"], data["state"]) == (1, "aligned", "done")
    (sample,) = data["samples"]
    assert sample["last"] is True
    assert data["peak"] == sample["peak"] > 0
    assert [line["level"] for line in data["lines"]] == ["WARNING"]

    assert call(base, "runs", "show", "0", "--task", "7") == 2
    assert "0000 tells of no task 7, but of 3 other tasks" in capsys.readouterr().err


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a task that failed twice, one that needed it, and one that ended well."""
    folder = tmp_path_factory.mktemp("failed")
    config = weft.Config(
        run_dir=folder, retries=1, backoff=weft.Backoff(first=0.0), task_values="all"
    )
    with weft.Session(config) as session:
        made = weft.File(str(folder / "made.txt"))
        bad = failing.options(session=session)("AB-7\x1b", depth=30, outputs=[made])
        after = aligned.options(session=session)(bad)
        good = aligned.options(session=session)(3)
        assert isinstance(bad.exception(BOUND), ValueError)
        assert after.exception(BOUND) is not None
        assert good.result(BOUND) == 3
    return folder


def test_a_failed_task_is_shown_with_its_call_its_files_and_its_tracebacks(
    failed: Path, capsys: Capsys
) -> None:
    assert call(failed, "runs", "show", "--task", "0") == 0
    text = capsys.readouterr().out
    assert "\nfailing('AB-7\\x1b', depth=30, outputs=[" in text
    assert f"\nmakes {failed / 'made.txt'}\n" in text
    assert text.index("\ntry 1:\nTraceback (most recent call last):\n") < text.index("\ntry 2:\n")
    assert text.count("\nValueError: bad\\x1b[2J genes\n") == 3
    assert "\x1b" not in text

    assert call(failed, "runs", "show", "--task", "0", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["arguments"].startswith("'AB-7")
    assert data["result"] is None
    assert data["outputs"] == [str(failed / "made.txt")]
    assert sorted(data["tracebacks"]) == ["1", "2"]


def test_what_ended_well_or_could_not_start_is_shown_so(failed: Path, capsys: Capsys) -> None:
    assert call(failed, "runs", "show", "--task", "2") == 0
    assert "\naligned(3)\nreturned 3\n" in capsys.readouterr().out
    assert call(failed, "runs", "show", "--task", "1") == 0
    text = capsys.readouterr().out
    assert "DependencyError" in text
    assert "traceback" not in text


def test_of_more_details_than_a_story_keeps_those_of_one_task_are_found(
    failed: Path, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("weft.eventlog.story._LETTERS", 0)
    assert call(failed, "runs", "show", "--task", "0", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert sorted(data["tracebacks"]) == ["1", "2"]


def test_a_failure_of_which_nothing_was_told_says_so(tmp_path: Path, capsys: Capsys) -> None:
    folder = tmp_path / "0000"
    folder.mkdir()
    log = EventLogWriter(folder / NAME, {"run": "r"}, pytest.fail)
    started = RunStarted(1.0, "r", str(folder), "a.py", "0.1")
    log.write([started, TaskMoved(2.0, 0, "a", TaskState.FAILED, 1, "", "ValueError: no")])
    log.close()
    assert call(tmp_path, "runs", "show", "--task", "0") == 0
    assert "Its traceback was not told" in capsys.readouterr().out


def test_of_many_tries_a_story_keeps_the_latest_tracebacks_and_so_many_letters() -> None:
    details = [TaskDetails(1.0, 1, "a", n, "x", None, f"t{n}") for n in range(1, 31)]
    told = RunStory().fold(details).told[1]
    assert list(told.tracebacks) == list(range(21, 31))
    assert told.arguments == "x"
    long = [TaskDetails(1.0, n, "a", 1, None, "y" * 10**6) for n in range(100)]
    story = RunStory().fold(long)
    assert len(story.told) + story.undetailed == 100
    assert 60 <= len(story.told) <= 70


def test_the_story_keeps_both(base: Path) -> None:
    with open_run(base / "0000") as run:
        assert set(run.story.told) == {0, 1, 2}
        assert not run.story.others


def test_a_run_is_followed_until_it_ends(tmp_path: Path) -> None:
    """By the command in a process of its own, which sees lines before the run has ended."""
    log = EventLogWriter(tmp_path / NAME, {"run": "r"}, pytest.fail)
    log.write([RunStarted(1.0, "r", str(tmp_path), "x.py", "0.1"), TaskSubmitted(1.0, 0, "a", ())])
    follower = subprocess.Popen(
        [sys.executable, "-m", "weft", "logs", str(tmp_path), "-f", "--json"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert follower.stdout is not None
        for number in range(2):
            log.write([LogLine(2.0, 0, 1, "x", "INFO", "l", f"line {number}")])
            assert json.loads(follower.stdout.readline())["text"] == f"line {number}"
        log.write([RunEnded(3.0, "r", 1, 0, 0)])
        log.close()
        assert follower.stdout.read() == ""
        assert follower.wait(BOUND) == 0
    finally:
        follower.kill()
        follower.communicate(timeout=BOUND)


def test_without_a_pause_what_there_is_is_all(tmp_path: Path) -> None:
    log = EventLogWriter(tmp_path / NAME, {"run": "r"}, pytest.fail)
    log.write([RunStarted(1.0, "r", str(tmp_path), "x.py", "0.1")])
    assert len(list(events_of_run(tmp_path))) == 1
    pauses: list[int] = []

    def pause() -> None:
        pauses.append(1)
        log.close()  # as a process that is killed does

    assert len(list(events_of_run(tmp_path, pause=pause))) == 1
    assert pauses == [1]


def line(task: int, text: str = "x", **more: Any) -> LogLine:
    return LogLine(1.0, task, 1, "here", "INFO", "l", text, **more)


def test_of_many_lines_the_story_keeps_the_latest_and_counts_the_rest() -> None:
    story = RunStory().fold(line(1, str(number), dropped=number % 2) for number in range(1000))
    told = story.told[1]
    assert [one.text for one in told.lines] == [str(number) for number in range(800, 1000)]
    assert (told.unkept, told.dropped) == (800, 500)


def test_lines_of_all_tasks_together_are_bounded() -> None:
    story = RunStory().fold(line(number % 1000) for number in range(150_000))
    kept = sum(len(told.lines) for told in story.told.values())
    assert kept == 100_000
    assert kept + sum(told.unkept for told in story.told.values()) == 150_000


def test_of_many_samples_some_are_kept_the_first_and_the_last_among_them() -> None:
    count = 10_000
    samples = [
        ResourceSample(float(n), 1, 1, "here", last=n == count - 1, peak=n % 777)
        for n in range(count)
    ]
    told = RunStory().fold(samples).told[1]
    times = [one.time for one in told.samples]
    assert times == sorted(set(times))
    assert times[0] == 0.0
    assert told.samples[-1].last
    assert 200 <= len(times) <= 520
    assert told.peak == 776
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert max(gaps) <= 64.0, "they are not spread over its time"
    for number in (1, 2, 3, 100, 513, 514, 700):  # the latest is there at any time
        part = RunStory().fold(samples[:number]).told[1]
        assert part.samples[-1] is samples[number - 1]
