"""``weft top``: a run that goes on somewhere else, watched by its event log.

Nothing is asked of the run itself: it is neither slowed nor stopped, and may be of another process,
on another node with the same file system, or dead. One thread does all of it: it reads what is new
in the log, folds it into the story, draws if that changed something, and waits for a key.

    events.weft ──▶ Run.refresh ──▶ view_of_story ──▶ table (view.py) ──▶ screen
"""

import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from weft.cli.console import console, show_mark, write
from weft.cli.runs import RUN_DIR
from weft.cli.view import Pace, View, plain_line, table, view_of_story
from weft.eventlog.runs import Run, find_run, open_run
from weft.eventlog.text import harmless

__all__ = ["top"]

LOOK: Final = 0.5
"""Seconds between two looks at the log. File systems shared by machines tell of no change."""
PLAIN: Final = 10.0
"""Seconds between two plain lines where there is no terminal."""
_LEAVE: Final = frozenset(b"qQ")


@click.command()
@click.argument("run", default="latest")
@RUN_DIR
def top(run: str, run_dir: Path) -> int:
    """Watch a run from another terminal, by its event log, until it ends.

    RUN is its folder, the folder's name or number, the beginning of the run's id, or 'latest',
    which it is when left out. The key q leaves; the run goes on. Where the output is no terminal,
    a line is written now and then.

    Of a run that has ended, the last view is shown.

    Exit code: 0, or 1 if the run was broken off: it was killed, or its machine went down.
    """
    with open_run(find_run(run, run_dir)) as found:
        out = console()
        if _going_on(found):
            left = _watch(found, out) if _can_draw(out) else _tell(found, out)
            if left:
                return 0
        return _last_words(found, out)


def _going_on(run: Run) -> bool:
    """Whether more may come; where no lock tells, as long as there is a log without an end."""
    return run.state == "running" or (run.state == "unknown" and run.there)


def _can_draw(out: Console) -> bool:
    return out.is_terminal and os.environ.get("TERM", "") not in {"", "dumb", "unknown"}


def _view(run: Run) -> View:
    program = run.story.started.program if run.story.started else ""
    title = harmless(f"{run.folder.name} {program}".rstrip())
    return view_of_story(run.story, title, run.state, time.time())


def _watch(run: Run, out: Console) -> bool:
    """Draw until the run has ended. Returns whether the watcher left before."""
    pace = Pace()
    drawn: object = None
    # The other screen of the terminal is drawn as a whole, whatever its size has become.
    with (
        _ended_orderly(),
        _keys() as descriptor,
        Live(console=out, screen=True, auto_refresh=False) as live,
    ):
        while True:
            run.refresh()
            view = _view(run)
            pace.look(view)
            seen = (run.story.events, int(view.elapsed), run.state, out.size)
            if seen != drawn:
                drawn = seen
                live.update(table(view, pace, out.width), refresh=True)
            if not _going_on(run):
                return False
            if _leaves(descriptor):
                return True


def _tell(run: Run, out: Console) -> bool:
    """Write a line now and then until the run has ended. Returns whether the watcher left."""
    told, due = -1, 0.0
    while _going_on(run):
        if run.story.events != told and time.monotonic() >= due:
            told, due = run.story.events, time.monotonic() + PLAIN
            out.out(plain_line(_view(run)), highlight=False)
            out.file.flush()
        _leaves(None)
        run.refresh()
    return False


def _last_words(run: Run, out: Console) -> int:
    view = _view(run)
    if _can_draw(out):
        write(table(view, None, out.width), out)
    else:
        out.out(plain_line(view), highlight=False)
    if run.state == "ended":
        show_mark("ok", "The run has ended.", out)
        return 0
    if run.state == "broken off":
        show_mark(
            "error",
            "The run is dead: no process holds its log any more, and the log has no end. It was "
            f"killed, or its machine went down; {view.unfinished:,} of its tasks had not ended.",
            out,
        )
        return 1
    show_mark("error", Text("The log of the run is gone from where it was."), out)
    return 1


# ---------------------------------------------------------------------------------- the keyboard


@contextmanager
def _keys() -> Iterator[int | None]:
    """Have keys come one by one, unechoed, where there is a keyboard; its descriptor."""
    if not sys.stdin.isatty():
        yield None
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield descriptor
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _leaves(keyboard: int | None) -> bool:
    """Wait for the next look, or a key. Returns whether it was one to leave by."""
    ready, _, _ = select.select([] if keyboard is None else [keyboard], [], [], LOOK)
    if not ready or keyboard is None:
        return False
    pressed = os.read(keyboard, 64)
    return not pressed or not _LEAVE.isdisjoint(pressed)


@contextmanager
def _ended_orderly() -> Iterator[None]:
    """On SIGTERM, give the terminal back as it was before the end."""

    def end(_number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
