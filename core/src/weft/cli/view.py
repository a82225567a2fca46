"""What is shown of a run while it goes on: made of a status or of a story, drawn in one way. Pure.

    Status (of the session here) ──┐
                                   ├──▶ View ──▶ table, for a terminal; plain_line, for a log
    RunStory (of an event log) ────┘

What others named or said, such as apps and errors, is made harmless before it is drawn.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

import attrs
from rich import console as rich
from rich.console import RenderableType
from rich.constrain import Constrain
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from weft.cli.console import counted
from weft.eventlog.story import RunStory
from weft.eventlog.text import harmless
from weft.session import Status
from weft.values.states import FINAL, TaskState

if TYPE_CHECKING:
    from weft.dataflow.views import Group

__all__ = [
    "AppLine",
    "Counted",
    "LongLine",
    "Pace",
    "View",
    "app_lines",
    "clock",
    "in_words",
    "plain_line",
    "said",
    "table",
    "view_of",
    "view_of_story",
]

WINDOW: Final = 15.0
"""Seconds over which a rate is measured."""
APPS: Final = 14
"""Apps shown at once; those with the least to tell give way."""
MARGIN: Final = 4
"""Columns at the right that the live table leaves free."""
LONGEST: Final = 3
"""Tasks that are named as those that have been launched for longest."""
LONG: Final = 1.0
"""Seconds from which on a task is worth naming for that."""


# ------------------------------------------------------------------------------- what there is


@attrs.frozen(kw_only=True)
class LongLine:
    """A task that an executor has had for longer than others.

    Attributes:
        app, task: which.
        seconds: for how long.
        executor: the label of the executor.
    """

    app: str
    task: int
    seconds: float
    executor: str


@attrs.frozen(kw_only=True)
class View:
    """A run at one moment, as it is shown.

    Attributes:
        title: what it is.
        state: how it is, where that is to be said.
        elapsed: seconds since it began, until it ended.
        counts: how many tasks are in each state.
        apps: the same for each app.
        from_memory: how many tasks memory answered.
        executors: of each, in a few words, what it does.
        blocks: lines about blocks and managers.
        longest: what has been launched for longest.
        failure: the last failure, and what caused it; may be empty.
    """

    title: str
    state: str = ""
    elapsed: float
    counts: Mapping[TaskState, int]
    apps: Mapping[str, Mapping[TaskState, int]]
    from_memory: int = 0
    executors: Mapping[str, str] = attrs.field(factory=dict)
    blocks: Sequence[str] = ()
    longest: Sequence[LongLine] = ()
    failure: str = ""

    @property
    def unfinished(self) -> int:
        """Tasks that have not ended."""
        return sum(number for state, number in self.counts.items() if state not in FINAL)


def view_of(status: Status) -> View:
    """The view of a session in this process."""
    executors = {}
    blocks = []
    for label, one in status.executors.items():
        queued = f", {one.waiting} queued" if one.waiting else ""
        executors[label] = f"{one.running} of {one.workers} busy{queued}"
        blocks += _blocks(
            label,
            [(str(block.state), block.reason) for block in one.blocks],
            [manager.state for manager in one.managers],
        )
    return View(
        title="weft",
        elapsed=status.elapsed,
        counts=status.counts,
        apps=status.apps,
        from_memory=sum(status.from_memory.values()),
        executors=executors,
        blocks=blocks,
        failure=_newest(status.failures),
    )


def view_of_story(story: RunStory, title: str, state: str, now: float) -> View:
    """The view of a run by its event log.

    Args:
        story: what has been read.
        title: what to call it.
        state: how it is, as ``weft.eventlog.runs`` says it.
        now: the time, in seconds since the epoch; of a run that goes on, tells how long it has.

    Takes time for each app, executor and block, and none for each task.
    """
    going_on = state == "running"
    moment = max(now, story.last) if going_on else story.last
    began = story.started.time if story.started else story.first
    executors = {}
    blocks: list[str] = []
    for label, one in story.executors.items():
        managers = [each for (owner, _), each in story.managers.items() if owner == label]
        workers = sum(each.workers for each in managers if each.state not in _GONE)
        told = f", {counted(workers, 'worker')}" if managers else ""
        executors[label] = f"{one.holds:,} launched{told}"
        blocks += _blocks(
            label,
            [(str(b.state), b.reason) for (owner, _), b in story.blocks.items() if owner == label],
            [each.state for each in managers],
        )
    longest = []
    if going_on:
        longest = [
            LongLine(app=one.app, task=one.id, seconds=moment - one.since, executor=one.executor)
            for one in islice(story.launched.values(), LONGEST)
            if moment - one.since >= LONG
        ]
    return View(
        title=title,
        state=state,
        elapsed=max(0.0, moment - began),
        counts=story.counts,
        apps={name: app.counts for name, app in story.apps.items()},
        from_memory=sum(app.from_memory for app in story.apps.values()),
        executors=executors,
        blocks=blocks,
        longest=longest,
        failure=_last(story),
    )


_GONE: Final = ("ended", "lost")
_FINE: Final = ("ready", "ended")


def _blocks(label: str, blocks: Iterable[tuple[str, str]], managers: Iterable[str]) -> list[str]:
    """A line about the blocks of an executor and their managers; none if it has none."""
    parts = []
    blocks = list(blocks)
    for noun, states in (("blocks", [state for state, _ in blocks]), ("managers", list(managers))):
        if states:
            each = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
            parts.append(f"{noun} {', '.join(each)}")
    reasons = {state: reason for state, reason in blocks if reason and state not in _FINE}
    parts += [f"{state}: {harmless(reason, 80)}" for state, reason in reasons.items()]
    return [f"{label}: {'; '.join(parts)}"] if parts else []


def _newest(failures: "Sequence[Group]") -> str:
    # The kinds come with the most frequent first; the newest kind has the highest task number.
    newest = max(failures, key=lambda failure: failure.task, default=None)
    return f"{newest.app} (task {newest.task}): {said(newest)}" if newest is not None else ""


def said(failure: "Group") -> str:
    """What failures of a kind say, in one line."""
    return f"{failure.error}: {failure.example}" if failure.example else failure.error


def _last(story: RunStory) -> str:
    found = story.last_cause()
    if found is None:
        return ""
    task, root = found
    words = f"{task.app} (task {task.id})"
    if root is not task:
        words += f", because of {root.app} (task {root.id})"
    return f"{words}: {root.error or 'its error was not told'}"


# ---------------------------------------------------------------------------------- apps, and paces


class Counted(Protocol):
    """What can be measured: a status, or a view."""

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        ...

    @property
    def apps(self) -> Mapping[str, Mapping[TaskState, int]]:
        """How many tasks of each app are in each state."""
        ...


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

    def look(self, status: Counted) -> None:
        """Take note of how things are."""
        ended = {app: _ended(counts) for app, counts in status.apps.items()}
        self._looks.append((status.elapsed, ended))
        while len(self._looks) > 2 and self._looks[1][0] <= status.elapsed - WINDOW:
            self._looks.popleft()

    def rate(self, app: str | None = None) -> float | None:
        """Tasks of an app that end in a second, or of all; ``None`` while too little is known."""
        if not self._looks:
            return None
        (start, first), (end, last) = self._looks[0], self._looks[-1]
        if app is None:
            gained = sum(last.values()) - sum(first.values())
        else:
            gained = last.get(app, 0) - first.get(app, 0)
        return gained / (end - start) if gained > 0 and end - start >= 1 else None


def _ended(counts: Mapping[TaskState, int]) -> int:
    return sum(counts.get(state, 0) for state in FINAL)


def app_lines(status: Counted, pace: Pace | None = None) -> list[AppLine]:
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
    shown = [f"{number} of {harmless(app, 80)}" for number, app in ranked[:limit]]
    if len(ranked) > limit:
        shown.append(f"{sum(number for number, _ in ranked[limit:])} of other apps")
    return ", ".join(shown)


def plain_line(status: View) -> str:
    """The whole view in one line without colours, for logs. Plain ASCII but for names."""
    total, ended = sum(status.counts.values()), _ended(status.counts)
    launched = sum(line.launched for line in app_lines(status))
    parts = [
        f"{harmless(status.title)} {clock(status.elapsed)}",
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


def table(status: View, pace: Pace | None, width: int, held: str = "") -> RenderableType:
    """What is shown on a terminal of ``width`` columns, without using the last few of them.

    Args:
        status: what is shown.
        pace: how fast tasks end, when that is known.
        width: columns of the terminal; what does not fit is left out, the least important first.
        held: a line that was begun and not ended, such as a question that the script asks.
    """
    # The ^C that a terminal echoes behind the last line must not break that line in two.
    width -= MARGIN
    lines = app_lines(status, pace)
    shown = _most_telling(lines)
    parts: list[RenderableType] = [Text(held)] if held else []
    # How fast all go together, unless that is said of the only app.
    together = [_together(lines, pace)] if len(lines) > 1 else []
    parts += [_head(status), _grid([*shown, *together], width)]
    if hidden := len(lines) - len(shown):
        parts.append(Text(f"and {hidden} more app{'' if hidden == 1 else 's'}", style="dim"))
    parts += [_line("", line, "dim") for line in status.blocks]
    if status.longest:
        parts.append(_line("longest: ", ", ".join(map(_for_long, status.longest)), "dim"))
    if status.failure:
        parts.append(_line("failed: ", status.failure, "red"))
    return Constrain(rich.Group(*parts), width)


def _most_telling(lines: Sequence[AppLine]) -> list[AppLine]:
    """At most ``APPS`` lines: the unfinished first, then those with failures; the order is kept."""
    if len(lines) <= APPS:
        return list(lines)
    ranked = sorted(lines, key=lambda line: (line.ended == line.total, not line.failed))
    chosen = {line.app for line in ranked[:APPS]}
    return [line for line in lines if line.app in chosen]


def _together(lines: Sequence[AppLine], pace: Pace | None) -> AppLine:
    """All apps as if they were one."""
    numbers = {
        name: sum(getattr(line, name) for line in lines)
        for name in ("total", "done", "failed", "cancelled", "launched", "waiting")
    }
    whole = AppLine(app="all", **numbers)
    rate = pace.rate() if pace is not None and whole.ended < whole.total else None
    return attrs.evolve(whole, rate=rate, left=(whole.total - whole.ended) / rate if rate else None)


def _head(status: View) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{harmless(status.title)} ", style="bold")
    if status.state:
        text.append(f" {status.state} ", style=_STATES.get(status.state, ""))
    text.append(clock(status.elapsed))
    for label, words in status.executors.items():
        text.append(f"  {harmless(label)}", style="bold").append(f" {words}")
    if status.from_memory:
        text.append(f"  {status.from_memory} from memory", style="dim")
    return text


_STATES: Final = {"running": "cyan", "broken off": "bold red", "ended": "green"}


def _line(label: str, text: str, style: str) -> Text:
    """A line of words that may be too long."""
    line = Text(no_wrap=True, overflow="ellipsis")
    return line.append(label, style=style).append(harmless(text, 500), style="default")


def _for_long(line: LongLine) -> str:
    return f"{line.app} (task {line.task}) for {clock(line.seconds)} on {line.executor}"


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
            Text(harmless(line.app, 80), style="" if line.ended < line.total else "dim")
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
