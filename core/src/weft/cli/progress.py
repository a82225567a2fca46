"""What ``weft run`` shows while a script runs, and what it says at the end.

The upper half is pure: a status becomes lines, a table or a summary, and knows no clock and no
terminal. The lower half has two threads. ``weft-progress`` looks at the status, five times a second
on a terminal, and every half minute where there is none. ``weft-outlet``, which is there on a
terminal alone, carries what the script, its commands and its workers write to a place above the
table. One lock is held by whoever writes to the terminal.

    session ──status()──▶ weft-progress ──table─────────────┐
    descriptors 1 and 2 ──pseudo-terminal──▶ weft-outlet ───┴──▶ terminal
"""

import codecs
import os
import selectors
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final, TextIO

import attrs
from rich import console as rich
from rich.console import Console, RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from weft.session import Status
from weft.values.states import FINAL, TaskState

if TYPE_CHECKING:
    from weft.dataflow.views import Group

__all__ = [
    "AppLine",
    "Outlet",
    "Pace",
    "Progress",
    "app_lines",
    "clock",
    "in_words",
    "plain_line",
    "summary",
    "table",
]

REFRESH: Final = 0.2
"""Seconds between two looks at the status while a table is shown."""
PLAIN: Final = 30.0
"""Seconds between two plain lines where there is no terminal."""
WINDOW: Final = 15.0
"""Seconds over which a rate is measured."""
APPS: Final = 14
"""Apps shown at once; those with the least to tell give way."""
MARGIN: Final = 4
"""Columns at the right that the live table leaves free."""


# --------------------------------------------------------------------------- from a status to lines


@attrs.frozen(kw_only=True)
class AppLine:
    """One app, as it is shown.

    Attributes:
        app: its name.
        total: tasks so far.
        done, failed, cancelled: those that have ended, by how.
        launched: those that an executor has, running or queued, and joins that wait for others.
        waiting: those that wait for inputs, for memory or for a retry.
        rate: tasks that end in a second, or ``None`` while that is unknown.
        left: seconds until the tasks known so far have ended, or ``None``.
    """

    app: str
    total: int
    done: int
    failed: int
    cancelled: int
    launched: int
    waiting: int
    rate: float | None = None
    left: float | None = None

    @property
    def ended(self) -> int:
        """Tasks that have ended in any way."""
        return self.done + self.failed + self.cancelled


class Pace:
    """How fast tasks end, measured between the looks of the last ``WINDOW`` seconds."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, Mapping[str, int]]] = deque()

    def look(self, status: Status) -> None:
        """Take note of a status."""
        ended = {app: _ended(counts) for app, counts in status.apps.items()}
        self._looks.append((status.elapsed, ended))
        while len(self._looks) > 2 and self._looks[1][0] <= status.elapsed - WINDOW:
            self._looks.popleft()

    def rate(self, app: str) -> float | None:
        """Tasks of an app that end in a second; ``None`` while too little is known."""
        if not self._looks:
            return None
        (start, first), (end, last) = self._looks[0], self._looks[-1]
        gained = last.get(app, 0) - first.get(app, 0)
        return gained / (end - start) if gained > 0 and end - start >= 1 else None


def _ended(counts: Mapping[TaskState, int]) -> int:
    return sum(counts.get(state, 0) for state in FINAL)


def app_lines(status: Status, pace: Pace | None = None) -> list[AppLine]:
    """A line for each app, in the order in which they were first called."""
    return [_app_line(app, counts, pace) for app, counts in status.apps.items()]


def _app_line(app: str, counts: Mapping[TaskState, int], pace: Pace | None) -> AppLine:
    total, ended = sum(counts.values()), _ended(counts)
    rate = pace.rate(app) if pace is not None and ended < total else None
    return AppLine(
        app=app,
        total=total,
        done=counts.get(TaskState.DONE, 0),
        failed=counts.get(TaskState.FAILED, 0),
        cancelled=counts.get(TaskState.CANCELLED, 0),
        launched=counts.get(TaskState.LAUNCHED, 0) + counts.get(TaskState.JOINING, 0),
        waiting=total
        - ended
        - counts.get(TaskState.LAUNCHED, 0)
        - counts.get(TaskState.JOINING, 0),
        rate=rate,
        left=(total - ended) / rate if rate else None,
    )


def clock(seconds: float) -> str:
    """A duration for people: ``0:07``, ``12:30``, ``1:02:03``."""
    whole = int(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def in_words(counts: Mapping[str, int], limit: int = 5) -> str:
    """Tasks by app for a sentence: ``3 of measure, 1 of merge``."""
    ranked = sorted(
        ((n, app) for app, n in counts.items() if n), key=lambda pair: (-pair[0], pair[1])
    )
    shown = [f"{number} of {app}" for number, app in ranked[:limit]]
    if len(ranked) > limit:
        shown.append(f"{sum(number for number, _ in ranked[limit:])} of other apps")
    return ", ".join(shown)


def plain_line(status: Status) -> str:
    """The whole status in one line without colours, for logs. Plain ASCII but for names."""
    total, ended = sum(status.counts.values()), _ended(status.counts)
    launched = sum(line.launched for line in app_lines(status))
    parts = [
        f"weft {clock(status.elapsed)}",
        f"done {status.counts.get(TaskState.DONE, 0)} of {total}",
        f"launched {launched}",
        f"waiting {total - ended - launched}",
    ]
    if failed := status.counts.get(TaskState.FAILED, 0):
        parts.append(f"failed {failed}")
    if cancelled := status.counts.get(TaskState.CANCELLED, 0):
        parts.append(f"cancelled {cancelled}")
    if unfinished := in_words({line.app: line.total - line.ended for line in app_lines(status)}):
        parts.append(f"unfinished: {unfinished}")
    return " | ".join(parts)


# --------------------------------------------------------------------------------- the live table


def table(status: Status, pace: Pace | None, width: int, held: str = "") -> RenderableType:
    """What is shown on a terminal of ``width`` columns, without using the last few of them.

    Args:
        status: the status.
        pace: how fast tasks end, when that is known.
        width: columns of the terminal; what does not fit is left out, the least important first.
        held: a line that was begun and not ended, such as a question that the script asks.
    """
    # The ^C that a terminal echoes behind the last line must not break that line in two.
    width -= MARGIN
    lines = app_lines(status, pace)
    shown = _most_telling(lines)
    parts: list[RenderableType] = [Text(held)] if held else []
    parts += [_head(status), _grid(shown, width)]
    if hidden := len(lines) - len(shown):
        parts.append(Text(f"and {hidden} more app{'' if hidden == 1 else 's'}", style="dim"))
    if status.failures:
        parts.append(_last_failure(status.failures))
    return Constrain(rich.Group(*parts), width)


def _most_telling(lines: Sequence[AppLine]) -> list[AppLine]:
    """At most ``APPS`` lines: the unfinished first, then those with failures; the order is kept."""
    if len(lines) <= APPS:
        return list(lines)
    ranked = sorted(lines, key=lambda line: (line.ended == line.total, not line.failed))
    chosen = {line.app for line in ranked[:APPS]}
    return [line for line in lines if line.app in chosen]


def _head(status: Status) -> Text:
    text = Text.assemble(
        ("weft ", "bold"), clock(status.elapsed), no_wrap=True, overflow="ellipsis"
    )
    for label, load in status.executors.items():
        text.append(f"  {label}", style="bold")
        text.append(f" {load.running} of {load.workers} busy")
        if load.waiting:
            text.append(f", {load.waiting} queued")
    if remembered := sum(status.from_memory.values()):
        text.append(f"  {remembered} from memory", style="dim")
    return text


def _grid(lines: Sequence[AppLine], width: int) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True, overflow="ellipsis", max_width=max(12, width // 4))
    with_bar, with_pace = width >= 60, width >= 84
    if with_bar:
        grid.add_column(width=min(30, width // 5))
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(no_wrap=True, overflow="ellipsis")
    if with_pace:
        grid.add_column(justify="right", no_wrap=True, style="dim")
        grid.add_column(justify="right", no_wrap=True, style="dim")
    for line in lines:
        cells: list[RenderableType] = [
            Text(line.app, style="" if line.ended < line.total else "dim")
        ]
        if with_bar:
            cells.append(_bar(line))
        cells += [Text(f"{line.ended}/{line.total}"), _states(line)]
        if with_pace:
            cells += [
                Text(_speed(line.rate)),
                Text("" if line.left is None else f"ETA {clock(line.left)}"),
            ]
        grid.add_row(*cells)
    return grid


def _bar(line: AppLine) -> ProgressBar:
    style = "red" if line.failed else "green"
    return ProgressBar(
        total=line.total,
        completed=line.ended,
        complete_style=style if line.failed else "cyan",
        finished_style=style,
    )


def _states(line: AppLine) -> Text:
    text = Text()
    for number, word, style in (
        (line.launched, "launched", "cyan"),
        (line.waiting, "waiting", "dim"),
        (line.failed, "failed", "bold red"),
        (line.cancelled, "cancelled", "yellow"),
    ):
        if number:
            text.append(", " if text else "").append(f"{number} {word}", style=style)
    return text


def _speed(rate: float | None) -> str:
    if rate is None:
        return ""
    return (
        f"{rate:.0f}/s" if rate >= 10 else f"{rate:.1f}/s" if rate >= 1 else f"{60 * rate:.1f}/min"
    )


def _last_failure(failures: "Sequence[Group]") -> Text:
    # The kinds come with the most frequent first; the newest kind has the highest task number.
    newest = max(failures, key=lambda failure: failure.task)
    text = Text("failed: ", style="red", no_wrap=True, overflow="ellipsis")
    return text.append(f"{newest.app} (task {newest.task}): {_said(newest)}", style="default")


def _said(failure: "Group") -> str:
    return f"{failure.error}: {failure.example}" if failure.example else failure.error


# --------------------------------------------------------------------------------- the summary


def summary(status: Status, kinds: int = 8) -> RenderableType:
    """What is said at the end: tasks by state and app, failures by kind, where to look.

    Args:
        status: the last status of the session.
        kinds: kinds of failure that are told; the rest are counted.
    """
    parts: list[RenderableType] = [_totals(status)]
    lines = app_lines(status)
    if lines:
        parts.append(_summary_table(lines, status.from_memory))
    if status.failures:
        parts.append(_failure_list(status.failures, kinds))
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
        (total - _ended(status.counts), "unfinished", "yellow"),
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
        grid.add_row(Text(f"  {line.app}"), *cells)
    return grid


def _failure_list(failures: "Sequence[Group]", kinds: int) -> Text:
    # What failed for want of another's result comes last: the causes are above it.
    ranked = sorted(failures, key=lambda failure: failure.error == "DependencyError")
    text = Text("failures", style="bold red", overflow="fold")
    for failure in ranked[:kinds]:
        said = _said(failure)
        text.append(f"\n  {failure.count} x {failure.app}: {said}", style="default not bold")
        if f"task {failure.task})" not in said:
            first = " was the first" if failure.count > 1 else ""
            text.append(f" (task {failure.task}{first})", style="dim not bold")
    if rest := sum(failure.count for failure in ranked[kinds:]):
        text.append(f"\n  and {rest} more of other kinds", style="dim not bold")
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
                shown = table(self.last, self._pace, self._console.width, outlet.held)
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
                self.say(plain_line(self.last))


def say(console: Console, text: str) -> None:
    """Write a line as it is: not wrapped, no colours, no reading of markup."""
    console.out(text, highlight=False)
