"""Figures of a run: what a report, a dashboard or a terminal shows of its story. Pure.

    events ──▶ RunStory   (story.py: every task)
           └─▶ Timeline   (here: a few hundred bins, however long the run is)
    both   ──▶ figures_of(story, timeline) ──▶ RunFigures: frozen, small, for showing

A :class:`Timeline` is folded from events as a story is, at once or piece by piece, and takes the
same memory for a minute as for a month. :func:`figures_of` goes once over the tasks of a story; for
100,000 of them that takes a fraction of a second, so it is for the end of a run and for a report,
not for each picture of a live view.

All times are in seconds; moments are seconds since the epoch.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from typing import Any, Final

from weft.eventlog.batches import AGES
from weft.eventlog.story import AppStory, Cause, RunStory, Split, TaskStory
from weft.values.events import (
    ExecutorStarted,
    ExecutorStopped,
    ManagerChanged,
    Notice,
    RunEnded,
    RunStarted,
    TaskMoved,
    TaskSubmitted,
)
from weft.values.message import message
from weft.values.states import FINAL, TaskState
from weft.values.task import TaskId, split_place

__all__ = [
    "BINS",
    "AppFigures",
    "ExecutorFigures",
    "Histogram",
    "LongTask",
    "Part",
    "RunFigures",
    "Spread",
    "Timeline",
    "figures_of",
    "histogram",
    "parts_of",
    "spread_of",
]

BINS: Final = 240
"""Bins of a timeline, at most."""
_FINEST: Final = 2.0**-8
"""The width of a timeline's bins at the beginning; it doubles when the run is longer."""
_LONGEST: Final = 10
"""Tasks that are named as the longest."""


# --------------------------------------------------------------------------------- of many numbers


@message(eq=True)
class Spread:
    """How a number of durations are spread.

    Attributes:
        count: how many.
        total: their sum.
        least, median, p95, most: the shortest; one that half of them do not exceed; one that 95 of
            100 do not; the longest. Each is one of the durations (the nearest rank).
    """

    count: int
    total: float
    least: float
    median: float
    p95: float
    most: float


def spread_of(durations: Iterable[float]) -> Spread | None:
    """How durations are spread; ``None`` of none."""
    ordered = sorted(durations)
    if not ordered:
        return None
    count = len(ordered)
    return Spread(
        count,
        math.fsum(ordered),
        ordered[0],
        ordered[math.ceil(count * 0.5) - 1],
        ordered[math.ceil(count * 0.95) - 1],
        ordered[-1],
    )


@message(eq=True)
class Histogram:
    """Durations by their lengths.

    Attributes:
        edges: where the bins begin, and where the last one ends; each as many times the one before.
        counts: how many durations are in each bin.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]


def histogram(
    durations: Sequence[float], least: float, most: float, bins: int = 24, floor: float = 1e-6
) -> Histogram:
    """Durations in bins whose edges grow by one factor.

    Args:
        durations: the durations.
        least: where the bins begin; what is below counts for the first one.
        most: where they end; what is above counts for the last one. Several histograms may so have
            the same bins.
        bins: how many.
        floor: durations below it are taken to be as long: a logarithm needs something.
    """
    low = max(least, floor)
    high = max(most, low * 1.001)
    step = (math.log(high) - math.log(low)) / bins
    counts = [0] * bins
    for one in durations:
        place = int((math.log(max(one, low)) - math.log(low)) / step)
        counts[min(place, bins - 1)] += 1
    return Histogram(tuple(low * math.exp(step * n) for n in range(bins + 1)), tuple(counts))


# ------------------------------------------------------------------------------------ the timeline


class _Workers:
    """Who works for an executor, and for how long that was so."""

    __slots__ = ("busy", "managers", "places", "seconds", "since", "started", "stopped", "workers")

    def __init__(self) -> None:
        self.busy = self.seconds = self.since = 0.0
        self.managers: dict[str, int] = {}
        self.workers = 0
        self.places: set[str] = set()
        self.started: float | None = None
        self.stopped: float | None = None

    def change(self, event: ManagerChanged) -> None:
        """A manager came, or went."""
        self._count_until(event.time)
        there = 0 if event.state in ("ended", "lost") else event.workers
        self.workers += there - self.managers.get(event.manager, 0)
        self.managers[event.manager] = there

    def _count_until(self, time: float) -> None:
        if time > self.since:
            self.seconds += self.workers * (time - self.since)
            self.since = time

    def worker_seconds(self, first: float, last: float) -> float:
        """Workers, each times how long it was there, until ``last``."""
        if self.managers:
            return self.seconds + self.workers * max(0.0, last - self.since)
        start = self.started if self.started is not None else first
        end = self.stopped if self.stopped is not None else last
        return len(self.places) * max(0.0, end - start)


class Timeline:
    """What went on in each of a few hundred spans of a run, folded from its events.

    Attributes:
        start: when the first bin begins; 0.0 before there is any event.
        width: seconds of a bin.
        launched, waiting: in each bin, seconds of tasks that an executor had, and of those that had
            been called, and that none had. Divided by ``width``, how many there were on average.
        ran: the same of tries that ran, by what workers said of those that have ended.
        ended, failed: how many tasks ended in each bin, in any way; how many of them failed.
    """

    def __init__(self) -> None:
        self.start = self.last = 0.0
        self.width = _FINEST
        self.launched = [0.0] * BINS
        self.waiting = [0.0] * BINS
        self.ran = [0.0] * BINS
        self.ended = [0.0] * BINS
        self.failed = [0.0] * BINS
        self._open: dict[TaskId, tuple[float, str] | None] = {}
        """When and by whom tasks that have not ended were launched; ``None`` of those that wait."""
        self._now = [0, 0]
        """How many wait, and how many are launched, now."""
        self._workers: dict[str, _Workers] = {}

    def fold(self, events: Iterable[Any]) -> Timeline:
        """Take in more events, which come after those before. Returns itself."""
        for event in events:
            kind = type(event)
            if not -AGES < event.time < AGES:
                continue
            if not self.start:
                self.start = self.last = event.time
            if kind is TaskMoved:
                self._moved(event)
            elif kind is TaskSubmitted:
                self._advance(event.time)
                if event.id not in self._open:
                    self._open[event.id] = None
                    self._now[0] += 1
            elif kind is ManagerChanged:
                self._of(event.executor).change(event)
            elif kind is ExecutorStarted:
                self._of(event.label).started = event.time
            elif kind is ExecutorStopped:
                self._of(event.label).stopped = event.time
            elif kind is RunStarted or kind is RunEnded:
                self._advance(event.time)
        return self

    @property
    def bins(self) -> int:
        """How many bins have begun: of the others, nothing is known yet."""
        if not self.start:
            return 0
        return min(BINS, int((self.last - self.start) / self.width) + 1)

    def executors(self) -> dict[str, tuple[float, float, int, bool]]:
        """Of each executor what ``ExecutorFigures`` calls busy, available, workers and told."""
        return {
            label: (
                one.busy,
                one.worker_seconds(self.start, self.last),
                max(one.workers, len(one.places)),
                bool(one.managers),
            )
            for label, one in self._workers.items()
        }

    def _of(self, label: str) -> _Workers:
        found = self._workers.get(label)
        if found is None:
            found = self._workers[label] = _Workers()
        return found

    def _moved(self, event: TaskMoved) -> None:
        self._advance(event.time)
        number, state, now = event.id, event.state, self._now
        if number in self._open:
            before = self._open.pop(number)
            now[0 if before is None else 1] -= 1
            if before is not None and event.seconds is not None:
                self._try_ran(event, *before)
        if state is TaskState.LAUNCHED:
            self._open[number] = (event.time, event.executor)
            now[1] += 1
        elif state in FINAL:
            place = self._bin(event.time)
            self.ended[place] += 1
            if state is TaskState.FAILED:
                self.failed[place] += 1
        else:
            self._open[number] = None
            now[0] += 1

    def _try_ran(self, event: TaskMoved, launched: float, executor: str) -> None:
        seconds = event.seconds or 0.0
        if not 0 <= seconds < AGES:
            return
        begun = max(launched, min(event.begun or launched, event.time - seconds))
        self._spread(self.ran, begun, min(begun + seconds, event.time), 1)
        workers = self._of(executor)
        workers.busy += seconds
        if event.place:
            workers.places.add(event.place)

    def _bin(self, time: float) -> int:
        return min(BINS - 1, max(0, int((time - self.start) / self.width)))

    def _advance(self, time: float) -> None:
        """Count what there was until now. What is told late counts from where the others are."""
        last = self.last
        if time <= last:
            return
        while time - self.start >= self.width * BINS:
            self._double()
        self.last = time
        waiting, launched = self._now
        if waiting:
            self._spread(self.waiting, last, time, waiting)
        if launched:
            self._spread(self.launched, last, time, launched)

    def _spread(self, curve: list[float], begin: float, end: float, number: int) -> None:
        first, last = self._bin(begin), self._bin(end)
        if first == last:
            curve[first] += number * max(0.0, end - begin)
            return
        curve[first] += number * max(0.0, self.start + (first + 1) * self.width - begin)
        for place in range(first + 1, last):
            curve[place] += number * self.width
        curve[last] += number * max(0.0, end - self.start - last * self.width)

    def _double(self) -> None:
        self.width *= 2
        for curve in (self.launched, self.waiting, self.ran, self.ended, self.failed):
            halves = [curve[n] + curve[n + 1] for n in range(0, BINS, 2)]
            curve[:] = halves + [0.0] * (BINS - len(halves))


# ----------------------------------------------------------------------------------- what is shown


@message
class Part:
    """A part of the time of tasks.

    Attributes:
        name: what it is, in a few words.
        seconds: the sum over the tasks.
        share: of all their time, from 0 to 1.
    """

    name: str
    seconds: float
    share: float


@message
class AppFigures:
    """An app.

    Attributes:
        app: its name.
        tasks, done, failed, cancelled, unfinished: how many.
        from_memory: how many of those done memory answered.
        lost_tries: tries that ended without ending their task.
        times: how long its tasks ran that have ended well, all tries together; ``None`` of none.
            Those whose worker did not say count for as long as they were launched.
        histogram: the same in bins, which all apps of a run share; ``None`` of none.
        parts: where the time of its tasks went.
    """

    app: str
    tasks: int
    done: int
    failed: int
    cancelled: int
    unfinished: int
    from_memory: int
    lost_tries: int
    times: Spread | None
    histogram: Histogram | None
    parts: tuple[Part, ...]


@message
class LongTask:
    """One of the tasks that ran longest.

    Attributes:
        task, app: which.
        seconds: how long it ran, all tries together.
        place: where its latest try was; may be empty.
        state: how it ended, or where it is.
    """

    task: TaskId
    app: str
    seconds: float
    place: str
    state: TaskState


@message
class ExecutorFigures:
    """An executor.

    Attributes:
        label, plugin: its names.
        tries: how many it got.
        busy: seconds that its workers ran tasks, by what they said at the end of each try.
        available: seconds that it had workers, each counted; 0 if none were seen.
        workers: how many it has, or had been seen at work.
        told: whether its managers say how many workers they have. Of others, a worker is known once
            it has run something, and is taken to have been there as long as the executor.
    """

    label: str
    plugin: str
    tries: int
    busy: float
    available: float
    workers: int
    told: bool

    @property
    def utilisation(self) -> float | None:
        """The part of the workers' time in which they ran tasks, from 0 to 1."""
        return min(1.0, self.busy / self.available) if self.available > 0 else None


@message
class RunFigures:
    """A run in figures.

    Attributes:
        started: what its first event says; ``None`` where that is lost.
        complete: whether it says of itself that it has ended.
        begun, seconds: when it began, and how long it took, or has taken so far.
        counts: how many tasks are in each state.
        lost_tries: tries that ended without ending their task.
        apps: those whose tasks ran longest in all come first.
        causes: the failures by what caused them; those that cost most first.
        parts: where the time of all tasks went.
        longest: the tasks that ran longest, the longest first.
        executors: in the order in which they were told of.
        moved, moving, unmoved: files that were moved, seconds that this took, tries that failed.
        moved_bytes, unsized: how many bytes that were, of those files of which it is told; how many
            files there are of which it is not.
        hosts: the nodes that tasks ran on or managers were on, in their order.
        notices: warnings and errors that were said, the first ones.
        lost_events: events that were not told.
        start, width: of the bins of the curves.
        launched, waiting, ran: in each bin, the number on average of tasks that an executor had,
            that waited, and that ran.
        ended, failed: in each bin, how many tasks ended, and failed.
    """

    started: RunStarted | None
    complete: bool
    begun: float
    seconds: float
    counts: dict[TaskState, int]
    lost_tries: int
    apps: tuple[AppFigures, ...]
    causes: tuple[Cause, ...]
    parts: tuple[Part, ...]
    longest: tuple[LongTask, ...]
    executors: tuple[ExecutorFigures, ...]
    moved: int
    moved_bytes: int
    unsized: int
    moving: float
    unmoved: int
    hosts: tuple[str, ...]
    notices: tuple[Notice, ...]
    lost_events: int
    start: float
    width: float
    launched: tuple[float, ...]
    waiting: tuple[float, ...]
    ran: tuple[float, ...]
    ended: tuple[int, ...]
    failed: tuple[int, ...]

    @property
    def tasks(self) -> int:
        """How many there are."""
        return sum(self.counts.values())


def figures_of(story: RunStory, timeline: Timeline) -> RunFigures:
    """The figures of a run.

    Args:
        story: folded from its events.
        timeline: folded from the same.
    """
    times: dict[str, list[float]] = {}
    tasks = list(story.tasks.values())  # once: of most of them, each look makes an object
    for task in tasks:
        if task.state is TaskState.DONE and not task.from_memory:
            times.setdefault(task.app, []).append(_ran(task))
    spreads = {app: spread_of(durations) for app, durations in times.items()}
    least = min((one.least for one in spreads.values() if one), default=0.0)
    most = max((one.most for one in spreads.values() if one), default=0.0)
    apps = [
        _app(
            one,
            spreads.get(one.name),
            histogram(times[one.name], least, most) if one.name in times else None,
        )
        for one in story.apps.values()
    ]
    longest = heapq.nlargest(_LONGEST, tasks, key=_ran)
    bins = timeline.bins
    width = timeline.width
    known = timeline.executors()
    return RunFigures(
        started=story.started,
        complete=story.ended is not None,
        begun=story.started.time if story.started else story.first,
        seconds=story.seconds,
        counts=dict(story.counts),
        lost_tries=sum(one.lost_tries for one in story.apps.values()),
        apps=tuple(sorted(apps, key=lambda one: -(one.times.total if one.times else 0.0))),
        causes=tuple(story.causes()),
        parts=parts_of(story.split()),
        longest=tuple(
            LongTask(one.id, one.app, _ran(one), one.place, one.state)
            for one in longest
            if _ran(one) > 0
        ),
        executors=tuple(
            ExecutorFigures(
                one.label, one.plugin, one.launched, *known.get(one.label, (0.0, 0.0, 0, False))
            )
            for one in story.executors.values()
        ),
        moved=story.moved,
        moved_bytes=story.moved_bytes,
        unsized=story.unsized,
        moving=story.moving,
        unmoved=story.unmoved,
        hosts=_hosts(story, tasks),
        notices=tuple(one for one in story.notices if one.level in ("warning", "error")),
        lost_events=story.ended.lost_events if story.ended else 0,
        start=timeline.start,
        width=width,
        launched=tuple(seconds / width for seconds in timeline.launched[:bins]),
        waiting=tuple(seconds / width for seconds in timeline.waiting[:bins]),
        ran=tuple(seconds / width for seconds in timeline.ran[:bins]),
        ended=tuple(int(number) for number in timeline.ended[:bins]),
        failed=tuple(int(number) for number in timeline.failed[:bins]),
    )


def parts_of(split: Split) -> tuple[Part, ...]:
    """Where the time of tasks went, in the order of a task's life; what took none is left out."""
    unsaid = split.launched - split.sent - split.ran - split.returned
    parts = [
        ("waited for inputs or a retry", split.waited),
        ("files brought and taken away", split.staged),
        ("in the executor's queue and on the way", split.sent),
        ("ran", split.ran),
        ("on the way back", split.returned),
        ("launched, and no worker said more", unsaid),
        ("waited for the tasks of a join app", split.joined),
    ]
    total = sum(seconds for _, seconds in parts if seconds > 0)
    # What is left of a difference of large sums is no time of anything.
    return tuple(
        Part(name, seconds, seconds / total) for name, seconds in parts if seconds > 1e-9 * total
    )


def _ran(task: TaskStory) -> float:
    """How long a task ran; where the worker did not say, how long it was launched."""
    return task.split.ran or task.split.launched


def _app(story: AppStory, times: Spread | None, bins: Histogram | None) -> AppFigures:
    counts = story.counts
    return AppFigures(
        app=story.name,
        tasks=story.tasks,
        done=counts[TaskState.DONE],
        failed=counts[TaskState.FAILED],
        cancelled=counts[TaskState.CANCELLED],
        unfinished=sum(number for state, number in counts.items() if state not in FINAL),
        from_memory=story.from_memory,
        lost_tries=story.lost_tries,
        times=times,
        histogram=bins,
        parts=parts_of(story.split),
    )


def _hosts(story: RunStory, tasks: Iterable[TaskStory]) -> tuple[str, ...]:
    hosts = {one.host for one in story.managers.values()}
    places = {one.place for one in tasks}
    hosts |= {split_place(place)[1] for place in places}
    return tuple(sorted(filter(None, hosts)))
