"""What ``weft run`` shows while a script runs, and what it says at the end.

What is shown is drawn by ``view.py``, as ``weft top`` does it. Two threads do the work.
``weft-progress`` looks at the status, five times a second on a terminal, and every half minute
where there is none. ``weft-outlet``, which is there on a terminal alone, carries what the script,
its commands and its workers write to a place above the table. One lock is held by whoever writes
to the terminal.

    session ──status()──▶ weft-progress ──table─────────────┐
    descriptors 1 and 2 ──pseudo-terminal──▶ weft-outlet ───┴──▶ terminal
"""

import codecs
import os
import selectors
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final, TextIO

from rich import console as rich
from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from weft.cli.console import counted
from weft.cli.view import AppLine, Pace, app_lines, clock, plain_line, said, table, view_of
from weft.errors import LeftOut
from weft.eventlog.story import Cause
from weft.eventlog.text import cause_in_words, harmless
from weft.session import Status
from weft.values.states import TaskState

if TYPE_CHECKING:
    from weft.eventlog.figures import RunFigures

__all__ = ["Outlet", "Progress", "causes_of", "summary"]

REFRESH: Final = 0.2
"""Seconds between two looks at the status while a table is shown."""
PLAIN: Final = 30.0
"""Seconds between two plain lines where there is no terminal."""


# --------------------------------------------------------------------------------- the summary


def summary(status: Status, causes: Sequence[Cause], most: int = 8) -> RenderableType:
    """What is said at the end: tasks by state and app, failures by cause, where to look.

    Args:
        status: the last status of the session.
        causes: of its failures, as ``causes_of`` tells them.
        most: causes that are told; the rest are counted.
    """
    parts: list[RenderableType] = [_totals(status)]
    lines = app_lines(status)
    if lines:
        parts.append(_summary_table(lines, status.from_memory))
    if causes:
        parts.append(_failures(causes, most))
    parts.append(Text.assemble(("run folder ", "dim"), str(status.run_folder), overflow="fold"))
    return rich.Group(*parts)


def _totals(status: Status) -> Text:
    total = sum(status.counts.values())
    time = f"{status.elapsed:.1f} s" if status.elapsed < 60 else clock(status.elapsed)
    text = Text(f"weft: {total} task{'' if total == 1 else 's'} in {time}", style="bold")
    ends = [
        (status.counts.get(TaskState.DONE, 0), "done", "green"),
        (status.counts.get(TaskState.FAILED, 0), "failed", "bold red"),
        (status.counts.get(TaskState.CANCELLED, 0), "cancelled", "yellow"),
        (status.unfinished, "unfinished", "yellow"),
    ]
    told = [(f"{number} {word}", style) for number, word, style in ends if number]
    for index, (words, style) in enumerate(told):
        text.append(", " if index else ": ").append(words, style=style)
    if remembered := sum(status.from_memory.values()):
        text.append(f"; answered from memory: {remembered}", style="default")
    return text


def _summary_table(lines: Sequence[AppLine], from_memory: Mapping[str, int]) -> Table:
    """Tasks by app; a column that would be empty is not shown."""
    columns: list[tuple[str, Callable[[AppLine], int], str]] = [
        ("tasks", lambda line: line.total, ""),
        ("done", lambda line: line.done, "green"),
        ("from memory", lambda line: from_memory.get(line.app, 0), ""),
        ("failed", lambda line: line.failed, "bold red"),
        ("cancelled", lambda line: line.cancelled, "yellow"),
        ("unfinished", lambda line: line.total - line.ended, "yellow"),
    ]
    used = [column for column in columns if any(column[1](line) for line in lines)]
    grid = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    grid.add_column("  app", overflow="ellipsis", no_wrap=True)
    for name, _, _ in used:
        grid.add_column(name, justify="right", no_wrap=True)
    for line in lines:
        numbers = [(number(line), style) for _, number, style in used]
        cells = [Text(str(n), style=style) if n else Text("-", style="dim") for n, style in numbers]
        grid.add_row(Text(f"  {harmless(line.app, 80)}"), *cells)
    return grid


def causes_of(status: Status, figures: "RunFigures | None") -> Sequence[Cause]:
    """The failures of a session by what caused them, as its log tells it.

    Where there is no log, or it lacks some of them, they are told by app and error, those last that
    failed for want of another's result: what that was is not known then.

    Args:
        status: the last status of the session.
        figures: of the run, by its log.
    """
    if figures is not None:
        told = sum(cause.count + cause.others for cause in figures.causes)
        if told >= status.counts.get(TaskState.FAILED, 0):
            return figures.causes
    ranked = sorted(status.failures, key=lambda group: group.error == "DependencyError")
    return [Cause(one.app, one.error, one.count, one.task, said(one), 0) for one in ranked]


def _failures(causes: Sequence[Cause], most: int) -> Text:
    left_out = [cause for cause in causes if cause.error == LeftOut.__name__]
    causes = [cause for cause in causes if cause.error != LeftOut.__name__]
    text = Text(overflow="fold")
    if causes:
        text.append("failures, by what caused them", style="bold red")
    for cause in causes[:most]:
        text.append(f"\n  {cause_in_words(cause)}")
    if rest := sum(cause.count + cause.others for cause in causes[most:]):
        text.append(f"\n  and {rest:,} more of other causes", style="dim")
    if left_out:
        text.append("\n" if causes else "").append("left out by --only", style="bold yellow")
    for cause in left_out[:most]:
        of = "it" if cause.count == 1 else "them"
        also = f"; {counted(cause.others, 'task')} cannot do without {of}" if cause.others else ""
        text.append(f"\n  {counted(cause.count, 'call')} of {harmless(cause.app, 80)}{also}")
    if rest := sum(cause.count + cause.others for cause in left_out[most:]):
        text.append(f"\n  and {rest:,} more of other apps", style="dim")
    return text


# --------------------------------------------------------------------------------- while it runs


class Outlet:
    """Takes what anybody writes to the descriptors of the terminal, and carries it there in order.

    Writers notice nothing: their end is a terminal too. While a table is shown, whole lines go
    above it, and a line that was begun waits at its top; otherwise everything goes on as it comes.

    Attributes:
        terminal: the terminal itself, for those who draw there.
        held: a line that was begun and not ended.
        lock: held by whoever writes to the terminal. Reentrant, since a handler of Ctrl-C writes in
            the middle of whatever was being written.
    """

    def __init__(self) -> None:
        self.terminal: TextIO = os.fdopen(
            os.dup(sys.stderr.fileno()), "w", encoding=sys.stderr.encoding, errors="replace"
        )
        self.held = ""
        self.lock = threading.RLock()
        self._shown: Progress | None = None
        self._saved: dict[int, int] = {}
        self._thread = threading.Thread(target=self._carry, name="weft-outlet", daemon=True)

    def open(self) -> None:
        """Step between the writers and the terminal."""
        self._master, slave = os.openpty()
        self._wake, self._waker = os.pipe()
        _pass_on_unchanged(slave)
        for descriptor in (1, 2):
            if os.isatty(descriptor):
                self._saved[descriptor] = os.dup(descriptor)
                _copy_size(descriptor, slave)
                os.dup2(slave, descriptor)
        os.close(slave)
        self._thread.start()

    def close(self) -> None:
        """Step aside, with nothing kept back. Twice is allowed."""
        if not self._saved:
            return
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        for descriptor, saved in self._saved.items():
            os.dup2(saved, descriptor)
            os.close(saved)
        self._saved.clear()
        os.close(self._waker)
        self._thread.join()
        os.close(self._wake)
        os.close(self._master)

    def show(self, progress: "Progress | None") -> None:
        """Say who draws the table from now on; ``None`` if nobody does."""
        with self.lock:
            self._shown = progress
            if progress is None and self.held:
                self._write(self.held)
                self.held = ""

    def _carry(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        with selectors.DefaultSelector() as ready:
            ready.register(self._master, selectors.EVENT_READ)
            ready.register(self._wake, selectors.EVENT_READ)
            while True:
                found = {key.fd for key, _ in ready.select()}
                if self._master not in found:
                    return  # woken, and nothing is left to carry
                try:
                    chunk = os.read(self._master, 65536)
                except OSError:  # what Linux says when nobody holds the other end any more
                    return
                self._take(decoder.decode(chunk))

    def _take(self, text: str) -> None:
        with self.lock:
            if self._shown is None:
                self._write(text)
                return
            *whole, self.held = (self.held + text).split("\n")
            if whole:
                self._shown.say("\n".join(whole))
            if self.held:
                self._shown.draw()

    def _write(self, text: str) -> None:
        self.terminal.write(text)
        self.terminal.flush()


def _pass_on_unchanged(terminal: int) -> None:
    """Have a terminal turn no line feeds into anything: the real one does that, once is enough."""
    import termios

    modes = termios.tcgetattr(terminal)
    modes[1] &= ~termios.OPOST
    termios.tcsetattr(terminal, termios.TCSANOW, modes)


def _copy_size(source: int, target: int) -> None:
    import fcntl
    import termios

    fcntl.ioctl(target, termios.TIOCSWINSZ, fcntl.ioctl(source, termios.TIOCGWINSZ, b"\0" * 8))


class Progress:
    """Shows how a session is, from ``start`` to ``close`` or until the session has closed.

    Args:
        look: gives the status.
        console: where to; stderr in earnest.
        outlet: what goes above a changing table; without one there is a plain line now and then.

    Attributes:
        last: the latest status that was looked at.
    """

    def __init__(
        self, look: Callable[[], Status], console: Console, outlet: Outlet | None = None
    ) -> None:
        self.last = look()
        self._look, self._console, self._outlet = look, console, outlet
        self._pace = Pace()
        self._ending = threading.Event()
        self._thread = threading.Thread(
            target=self._show if outlet is not None else self._tell,
            name="weft-progress",
            daemon=True,
        )
        # The outlet does what rich's own way of redirecting does not: it leaves long lines as they
        # are, leaves alone what goes to a file, and takes what other processes write.
        self._live = Live(
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def start(self) -> None:
        """Begin."""
        if self._outlet is not None:
            self._live.start()
            self._outlet.show(self)
        self._thread.start()

    def close(self) -> None:
        """End: the table goes. Twice is allowed."""
        self._ending.set()
        self.wait()

    def wait(self) -> None:
        """Wait until nothing more is shown: after ``close``, or when the session has closed."""
        if self._thread.ident is not None:
            self._thread.join()

    def say(self, text: str) -> None:
        """Write lines above the table, or wherever there is none; from any thread."""
        with self._outlet.lock if self._outlet is not None else nullcontext():
            say(self._console, text)

    def draw(self) -> None:
        """Show how things are now."""
        outlet = self._outlet
        if outlet is None:
            return
        with outlet.lock:
            if self._live.is_started:
                self.last = self._look()
                self._pace.look(self.last)
                shown = table(view_of(self.last), self._pace, self._console.width, outlet.held)
                self._live.update(shown, refresh=True)

    def _show(self) -> None:
        self.draw()
        while not (self._ending.wait(REFRESH) or self.last.closed):
            self.draw()
        assert self._outlet is not None
        with self._outlet.lock:
            self._live.update(Text(""))
            self._live.stop()
            self._outlet.show(None)

    def _tell(self) -> None:
        while not (self._ending.wait(PLAIN) or self.last.closed):
            self.last = self._look()
            if not self.last.closed:
                self.say(plain_line(view_of(self.last)))


def say(console: Console, text: str) -> None:
    """Write a line as it is: not wrapped, no colours, no reading of markup."""
    console.out(text, highlight=False)
