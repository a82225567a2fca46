"""``weft runs retry``: the same script again, of which only what is missing is executed."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from weft.cli.retry import again, problem_of
from weft.errors import CannotRetry
from weft.eventlog.runs import RunState
from weft.values.events import RunStarted
from weft.values.states import TaskState

RESUMED = ["--resume", "--run-dir", "runs"]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("py script.py a --b", "py -m weft run * script.py a --b"),
        ("py -X dev -u -Walways s.py", "py -X dev -u -Walways -m weft run * s.py"),
        ("py /venv/bin/weft run --retries 2 s.py a", "py -m weft run * --retries 2 s.py a"),
        ("py -I -m weft run s.py", "py -I -m weft run * s.py"),
        ("py -m weft --debug run s.py", "py -m weft --debug run * s.py"),
    ],
)
def test_a_command_becomes_one_that_answers_from_checkpoints(command: str, expected: str) -> None:
    wanted: list[str] = []
    for word in expected.split():
        wanted += RESUMED if word == "*" else [word]
    assert again(command.split(), Path("runs")) == wanted


@pytest.mark.parametrize(
    ("former", "kept"),
    [
        ("--only fit s.py", "s.py"),
        ("--only=fit --retries 2 --only call:12 s.py --only x", "--retries 2 s.py --only x"),
        ("--run-dir --only s.py", "--run-dir --only s.py"),
        ("--summary -- s.py --only x", "--summary -- s.py --only x"),
        ("--only", ""),
        ("--only was:12:a --only=was:34:a s.py", "--only was:12:a --only=was:34:a s.py"),
    ],
)
def test_what_was_chosen_for_a_former_run_is_not_for_the_next(former: str, kept: str) -> None:
    words = again(["py", "-m", "weft", "run", *former.split()], Path("runs"), ["new", "call:34"])
    only = ["--only", "new", "--only", "call:34"]
    assert words == ["py", "-m", "weft", "run", *RESUMED, *only, *kept.split()]


@pytest.mark.parametrize(
    "command",
    ["py", "py -c code", "py -m pytest -q", "py -", "py -X", "py -m", "py /bin/weft doctor"],
)
def test_what_was_no_script_is_refused(command: str) -> None:
    with pytest.raises(CannotRetry, match="no script in a file"):
        again(command.split(), Path("runs"))


STARTED = RunStarted(1.0, "id", "folder", "s.py", "0.1", command=("py", "s.py"), cwd="/here")
COUNTS = dict.fromkeys(TaskState, 0) | {TaskState.DONE: 2}


@pytest.mark.parametrize(
    ("started", "failed", "state", "why"),
    [
        (STARTED, 1, "running", "still going on"),
        (None, 1, "ended", "damaged at its beginning"),
        (RunStarted(1.0, "id", "folder", "s.py", "0.1"), 1, "ended", "does not say"),
        (STARTED, 0, "ended", "No task of the run failed"),
        (STARTED, 1, "broken off", ""),
        (STARTED, 1, "unknown", ""),
    ],
)
def test_a_run_that_cannot_be_retried_says_why(
    started: RunStarted | None, failed: int, state: RunState, why: str
) -> None:
    problem = problem_of(started, COUNTS | {TaskState.FAILED: failed}, state)
    assert (problem is None) == (not why)
    assert problem is None or why in problem.why


# Each execution leaves a line behind; what needs the file 'mended' fails until it is there.
SCRIPT = """
import os, sys
import weft

def note(words):
    with open("executed", "a") as file:
        file.write(words + "\\n")

@weft.python_app(cache=True)
def measure(number):
    note(f"measure {number}")
    if number == 2 and not os.path.exists("mended"):
        raise ValueError("no strand 2")
    return number

@weft.python_app(cache=True)
def after(value):
    note(f"after {value}")
    return 10 * value

with weft.load():
    futures = [after(measure(number)) for number in range(4)]
    print([str(future.exception() or future.result())[:5] for future in futures], sys.argv[1:])
"""

Call = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def call(tmp_path: Path) -> Call:
    (tmp_path / "survey.py").write_text(SCRIPT)

    def python(*words: str, folder: Path = tmp_path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, *words],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            env={**os.environ, "COLUMNS": "1000"},
        )

    return python


def executed(folder: Path) -> list[str]:
    file = folder / "executed"
    lines = sorted(file.read_text().splitlines())
    file.unlink()
    return lines


def test_only_what_failed_and_what_needed_it_is_executed(tmp_path: Path, call: Call) -> None:
    first = call("-m", "weft", "run", "survey.py", "--deep")
    assert first.stdout == "['0', '10', 'after', '30'] ['--deep']\n"
    assert len(executed(tmp_path)) == 4 + 3

    (tmp_path / "mended").touch()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    run = str(tmp_path / "weft-runs" / "0000")
    dry = call("-m", "weft", "runs", "retry", run, "--dry-run", folder=elsewhere)
    assert dry.returncode == 0
    assert "run --resume --run-dir" in dry.stderr
    assert not (tmp_path / "executed").exists()

    second = call("-m", "weft", "runs", "retry", run, folder=elsewhere)
    assert second.stdout == "['0', '10', '20', '30'] ['--deep']\n"
    assert second.returncode == 0
    assert executed(tmp_path) == ["after 2", "measure 2"]
    assert "had 8 tasks: 6 done, 2 failed." in second.stderr

    # Now there is nothing left to do, and the log of the first run may not be another's.
    third = call("-m", "weft", "runs", "retry")
    assert third.returncode == 1
    assert "There is nothing to retry." in third.stderr
    (tmp_path / "weft-runs" / "0000" / "events.weft").chmod(0o622)
    fourth = call("-m", "weft", "runs", "retry", "0")
    assert fourth.returncode == 1
    assert "others may write to it" in fourth.stderr


def test_a_run_without_results_or_script_is_refused(tmp_path: Path, call: Call) -> None:
    assert call("survey.py").returncode == 0  # without weft run, nothing is kept
    refused = call("-m", "weft", "runs", "retry")
    assert refused.returncode == 1
    assert "It kept no results: 6 tasks that ended well" in refused.stderr
    assert "cache=True" in refused.stderr

    assert call("-m", "weft", "run", "survey.py").returncode == 0
    (tmp_path / "survey.py").unlink()
    gone = call("-m", "weft", "runs", "retry")
    assert gone.returncode == 1
    assert "There is no longer its script survey.py." in gone.stderr


# Tasks of 'measure' fail at two places, 'slow' stops at what the file 'stop' says, and 'total' is
# not cached.
BRANCHES = """
import os, sys
import weft

def note(words):
    with open("executed", "a") as file:
        file.write(words + "\\n")

@weft.python_app(cache=True)
def measure(number):
    note(f"measure {number}")
    if number % 2:
        raise ValueError(f"no strand {number}")
    return number

@weft.python_app(cache=True)
def after(value):
    note(f"after {value}")
    if os.path.exists("stop"):
        os.kill(os.getpid(), 9)
    return 10 * value

@weft.python_app
def total(value):
    note(f"total {value}")
    return value

with weft.load():
    futures = [after(measure(number)) for number in range(4)]
    futures.append(total(futures[0]))
    errors = [future.exception() for future in futures]
    print([type(error).__name__ if error else "good" for error in errors])
    if "--last" in sys.argv:
        futures[3].result()
"""


def retried(call: Call, *words: str) -> "subprocess.CompletedProcess[str]":
    return call("-m", "weft", "runs", "retry", *words)


def test_one_of_two_failed_branches_is_executed_after_its_function_was_mended(
    tmp_path: Path, call: Call
) -> None:
    script = tmp_path / "survey.py"
    script.write_text(BRANCHES)
    first = call("-m", "weft", "run", "survey.py")
    assert first.stdout == "['good', 'DependencyError', 'good', 'DependencyError', 'good']\n"
    executed(tmp_path)

    # What ended well is not executed again, although the function is another one now.
    script.write_text(BRANCHES.replace("if number % 2:", "if number == 5:"))
    assert retried(call, "0", "--only", "2", "--dry-run").returncode == 0
    second = retried(call, "0", "--only", "2")
    assert second.stdout == "['good', 'good', 'good', 'DependencyError', 'LeftOut']\n"
    assert second.returncode == 0
    assert executed(tmp_path) == ["after 1", "measure 1"]
    assert "1 task by number" in second.stderr
    said = " ".join(second.stderr.split())
    left_out = "1 call of measure; 1 task cannot do without it 1 call of total"
    assert f"left out by --only {left_out}" in said

    # What was left out is chosen by the log of that run, and mended once more.
    script.write_text(BRANCHES.replace("if number % 2:", "if number == 6:"))
    third = retried(call, "--only", "measure,total", "--only", "6")
    assert third.stdout == "['good', 'good', 'good', 'good', 'good']\n"
    assert executed(tmp_path) == ["after 3", "measure 3", "total 0"]


def test_a_script_that_needs_what_is_left_out_ends_with_a_code_of_its_own(
    tmp_path: Path, call: Call
) -> None:
    (tmp_path / "survey.py").write_text(BRANCHES)
    assert call("-m", "weft", "run", "survey.py", "--last").returncode == 1
    (tmp_path / "survey.py").write_text(BRANCHES.replace("if number % 2:", "if number == 5:"))
    assert retried(call, "0", "--only", "2").returncode == 3
    assert retried(call, "0", "--only", "measure").returncode == 0


def test_a_retry_that_was_killed_is_retried_as_well(tmp_path: Path, call: Call) -> None:
    (tmp_path / "survey.py").write_text(BRANCHES)
    assert call("-m", "weft", "run", "survey.py").returncode == 0
    (tmp_path / "survey.py").write_text(BRANCHES.replace("if number % 2:", "if number == 5:"))
    (tmp_path / "stop").touch()
    assert retried(call, "0", "--only", "measure").returncode == -9
    (tmp_path / "stop").unlink()
    executed(tmp_path)
    after = retried(call, "0", "--only", "measure,after")
    assert after.stdout == "['good', 'good', 'good', 'good', 'LeftOut']\n"
    again_executed = executed(tmp_path)
    assert {"after 1", "after 3"} <= set(again_executed)
    assert not {"measure 0", "measure 2", "after 0", "after 2"} & set(again_executed)


def test_wrong_choices_are_refused_before_anything_runs(tmp_path: Path, call: Call) -> None:
    (tmp_path / "survey.py").write_text(BRANCHES)
    assert call("-m", "weft", "run", "survey.py").returncode == 0
    executed(tmp_path)
    for words, why in (
        ("nosuch", "no app of this name"),
        ("after", "--only measure"),
    ):
        refused = retried(call, "--only", words)
        assert refused.returncode == 1
        assert why in refused.stderr
    assert not (tmp_path / "executed").exists()
    for options, why in (
        (["--only", "measure"], "--only needs --resume"),
        (["--resume", "--only", "call:12"], "no name of a call"),
    ):
        wrong = call("-m", "weft", "run", *options, "survey.py")
        assert wrong.returncode == 2
        assert why in wrong.stderr
