"""``weft runs retry``: an ended run again, of which only what did not end well has to be executed.

A run cannot be taken up where it was: its tasks are calls of a script, with arguments that only the
script has. What can be had again is its command, and what its cached apps returned. So the script
runs again, from its beginning, with those answers (``weft run --resume``), and executes what is
missing, or what is chosen of it (``--only``); docs/decisions says why.

    events.weft ─┬─RunStarted──▶ again ──▶ [python, -m, weft, run, --resume, …] ──▶ this process
                 └─story, --only──▶ chosen ──▶ [--only, APP, --only, call:…]

``again``, ``problem_of`` and ``chosen`` are pure; ``retry`` looks at files, and becomes the
command.
"""

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

import click
from rich.text import Text

from weft.cli.console import console, counted, show_mark
from weft.cli.runs import RUN_DIR
from weft.errors import CannotRetry
from weft.eventlog.chosen import chosen, in_words
from weft.eventlog.runs import Run, RunState, find_run, open_run
from weft.eventlog.text import harmless, tasks_in_words
from weft.eventlog.writer import NAME
from weft.values.choice import WAS
from weft.values.events import RunStarted
from weft.values.states import TaskState

__all__ = ["again", "problem_of", "retry"]

_CHECKPOINT: Final = "checkpoint.weft"
_HEADER: Final = 24
"""Bytes of a checkpoint that holds no result."""
_WITH_VALUE: Final = frozenset({"-X", "-W", "--check-hash-based-pycs"})
"""Options of Python whose value is the next word."""
_RUN_WITH_VALUE: Final = frozenset(
    {"--config", "--executor", "--run-dir", "--only", "--retries", "--progress"}
)
"""Options of ``weft run`` whose value is the next word, where it is not in the same."""


@click.command()
@click.argument("run", default="latest")
@click.option(
    "--only",
    multiple=True,
    metavar="APP|N,...",
    help="Execute only calls of these apps, or these failed tasks by their numbers in RUN, with "
    "what needs their results; nothing else. May be given more than once.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@RUN_DIR
def retry(run: str, run_dir: Path, only: tuple[str, ...], dry_run: bool) -> int:
    """Run a script again of whose tasks some failed or were not reached.

    RUN is its folder, the folder's name or number, the beginning of the run's id, or 'latest',
    which it is when left out.

    The same command runs again in the same folder, as by 'weft run --resume': calls of apps with
    cache=True that ended well are answered from the checkpoint, all others are executed. It is a
    new run, with a folder of its own.

    With --only, calls that are not chosen, need nothing of that, and are not answered from the
    checkpoint, are left out: each ends at once with an error that says so.

    Exit code: that of the script; 1 if the run cannot be retried; 3 if the script ended with the
    error of a task that --only leaves out.
    """
    with open_run(find_run(run, run_dir)) as found:
        counts, state, folder = found.story.counts, found.state, found.folder
        started = found.story.started
        remembered = sum(app.from_memory for app in found.story.apps.values())
        trouble = problem_of(started, counts, state)
        if trouble is not None:
            raise trouble
        assert started is not None
        _check_owner(found)
        choice = chosen(found.story, only)
    words = again(started.command, folder.parent, choice)
    _check_checkpoint(folder, words, counts[TaskState.DONE] - remembered)
    words = [_python(started), *words[1:]]
    _check_files(started, words)
    out = console(sys.stderr)
    out.print(Text(f"Run {folder.name} had {tasks_in_words(counts)}."), soft_wrap=True)
    if started.host and started.host != os.uname().nodename:
        there = harmless(started.host)
        show_mark("warning", f"It ran on {there}: its files may not all be here.", out)
    if state == "unknown":
        show_mark("warning", "Its file system does not tell whether it still goes on.", out)
    if choice:
        out.print(Text(f"Only {in_words(choice)}, with what needs their results."), soft_wrap=True)
    out.print(Text(f"In {harmless(started.cwd, 500)}:"), soft_wrap=True)
    out.print(Text(f"$ {harmless(shlex.join(words), 2000)}"), soft_wrap=True)
    if not dry_run:
        _become(words, Path(started.cwd))
    return 0


# --------------------------------------------------------------------------------- what is decided


def problem_of(
    started: RunStarted | None, counts: dict[TaskState, int], state: RunState
) -> CannotRetry | None:
    """Why a run cannot be retried, by what its log says; ``None`` if it can.

    Args:
        started: its first event.
        counts: how many of its tasks are in each state.
        state: how it is.
    """
    if state == "running":
        return CannotRetry(
            "The run cannot be retried.",
            why="It is still going on.",
            todo="Wait for its end: 'weft top' shows it. Within the script, Session.retry runs "
            "failed tasks again.",
        )
    if started is None or not started.command or not started.cwd:
        return CannotRetry(
            "The run cannot be retried.",
            why="Its log does not say with what it was started: it is damaged at its beginning, or "
            "was written by another version of weft.",
            todo="Start the script again yourself, by 'weft run --resume'.",
        )
    ended_well = counts[TaskState.DONE]
    if ended_well == sum(counts.values()):
        return CannotRetry(
            "There is nothing to retry.",
            why=f"No task of the run failed: it had {tasks_in_words(counts)}.",
            todo="Name another run; 'weft runs list' shows how many tasks failed in each.",
        )
    return None


def again(command: Sequence[str], run_dir: Path, only: Sequence[str] = ()) -> list[str]:
    """The command that runs a script again and answers from the checkpoints in a folder of runs.

    Args:
        command: with which it was started, the interpreter first.
        run_dir: the folder.
        only: what alone is to be executed, as ``weft run --only`` takes it. What was chosen for
            the former run is not, for this one; what functions were still counts.

    Raises:
        CannotRetry: it was no script, or not started by Python or ``weft run``.
    """
    python, *words = command
    options: list[str] = []
    while words and words[0].startswith("-") and words[0] not in ("-", "-c", "-m"):
        taken = 2 if words[0] in _WITH_VALUE else 1
        options += words[:taken]
        words = words[taken:]
    resume = ["--resume", "--run-dir", str(run_dir)]
    resume += [word for one in only for word in ("--only", one)]
    module = words[1] if words[:1] == ["-m"] and len(words) > 1 else ""
    by_weft = module == "weft" or (bool(words) and Path(words[0]).name == "weft")
    if by_weft:
        rest = words[2:] if module else words[1:]
        debug = ["--debug"] if rest[:1] == ["--debug"] else []
        rest = rest[len(debug) :]
        if rest[:1] == ["run"]:
            rest = _freed(rest[1:], functions=bool(only))
            return [python, *options, "-m", "weft", *debug, "run", *resume, *rest]
    if not words or words[0].startswith("-") or by_weft:
        raise CannotRetry(
            "The run cannot be retried.",
            why="It was no script in a file, started by Python or by 'weft run', but "
            f"'{harmless(shlex.join(command), 300)}'.",
            todo="Put Config(checkpoint=True) into the program and start it again: what its cached "
            "apps returned is used.",
        )
    return [python, *options, "-m", "weft", "run", *resume, *words]


def _freed(words: Sequence[str], *, functions: bool) -> list[str]:
    """The options and words of ``weft run``, without what it was to execute alone.

    Args:
        words: what stands after ``run``.
        functions: whether that stays of it which says what functions were.
    """
    kept: list[str] = []
    place = 0
    while place < len(words) and words[place].startswith("-") and words[place] != "--":
        taken = 2 if words[place] in _RUN_WITH_VALUE else 1
        option = words[place : place + taken]
        place += taken
        name, _, value = "=".join(option).partition("=")
        if name != "--only" or (functions and value.startswith(WAS)):
            kept += option
    return [*kept, *words[place:]]


# ---------------------------------------------------------------------------- what is looked at


def _check_owner(run: Run) -> None:
    """See that nobody else could have written the command that is to be run."""
    told = (run.folder / NAME).stat()
    if told.st_uid != os.geteuid() or told.st_mode & 0o022:
        raise CannotRetry(
            "The run cannot be retried.",
            why="Its log is somebody else's, or others may write to it, and it says which command "
            "is to be run.",
            todo="Have its owner retry it; or look at the command, by 'weft runs show --json' or "
            "'weft runs report --html', and start it yourself.",
        )


def _check_checkpoint(folder: Path, words: Sequence[str], executed: int) -> None:
    """See that something was kept, if there was anything to keep."""
    try:
        kept = (folder / _CHECKPOINT).stat().st_size > _HEADER
    except FileNotFoundError:
        kept = False
    if executed and not kept:
        raise CannotRetry(
            "The run cannot be retried.",
            why=f"It kept no results: {counted(executed, 'task')} that ended well would be "
            "executed again, too.",
            todo="To have that, and results kept from now on, mark apps with cache=True and start: "
            f"{harmless(shlex.join(words), 500)}",
        )


def _python(started: RunStarted) -> str:
    """The interpreter that ran it, or this one if that was named without a path."""
    named = started.command[0]
    if os.sep in named:
        return named
    return sys.executable


def _check_files(started: RunStarted, words: Sequence[str]) -> None:
    """See that the folder, the interpreter and the script are still there."""
    cwd = Path(started.cwd)
    named = (one for one in started.command[1:] if not one.startswith("-"))
    script = next((one for one in named if one.endswith(".py")), "")
    gone = ""
    if not cwd.is_dir():
        gone = f"the folder {started.cwd}, in which it was started"
    elif shutil.which(words[0]) is None:
        gone = f"its interpreter {words[0]}"
    elif script and not (cwd / script).exists():
        gone = f"its script {script}"
    if gone:
        raise CannotRetry(
            "The run cannot be retried.",
            why=f"There is no longer {harmless(gone, 500)}.",
            todo="Bring it back; or start the script where it is now, by 'weft run --resume "
            "--run-dir DIR', with the folder that the run is in.",
        )


def _become(words: Sequence[str], cwd: Path) -> NoReturn:
    os.chdir(cwd)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(words[0], list(words))  # noqa: S606 - a command of this user's own, without a shell
