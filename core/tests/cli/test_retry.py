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
