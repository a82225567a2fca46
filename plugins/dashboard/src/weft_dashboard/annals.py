"""What pages show and the story of a run does not keep: when things happened, one by one. Pure.

Everything here is bounded but the moves of tasks, which take some fifty bytes each.
"""

import math
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from weft.eventlog.batches import Batch
from weft.eventlog.story import RunStory
from weft.values.events import (
    FileMoved,
    FileMoving,
    FileNotMoved,
    ResourceSample,
    TaskMoved,
    TaskSubmitted,
    TryEnded,
)
from weft.values.message import message
from weft.values.states import FINAL, TaskState
from weft.values.task import TaskId, split_place

__all__ = ["Annals", "Bins", "Move", "NodeUse", "Traffic"]

BINS: Final = 240
"""The most pieces that the time of a run is cut into; with more time, they become wider."""
_NARROWEST: Final = 0.125
_NODES: Final = 2_000
_MOVED: Final = 200


class Bins:
    """What happened in each piece of the time, as sums.

    Args:
        names: of the rows.
        start: when the first piece begins; left out, with the first time that is told.

    Attributes:
        width: seconds of a piece; doubled whenever there are too many of them.
        rows: one list of sums per name, of equal lengths.
    """

    __slots__ = ("_start", "rows", "width")

    def __init__(self, *names: str, start: float | None = None) -> None:
        self.width = _NARROWEST
        self.rows: dict[str, list[float]] = {name: [] for name in names}
        self._start = start

    @property
    def start(self) -> float:
        """When the first piece begins; 0.0 while there is none."""
        return self._start or 0.0

    def index(self, time: float) -> int:
        """The piece that a time is in. What was before the first is counted there."""
        if self._start is None:
            self._start = time
        index = max(0, int((time - self._start) / self.width))
        while index >= BINS:
            self._widen()
            index //= 2
        length = len(next(iter(self.rows.values())))
        if index >= length:
            more = [0.0] * (index + 1 - length)
            for row in self.rows.values():
                row.extend(more)
        return index

    def add(self, name: str, time: float, amount: float = 1.0) -> None:
        """Add to the piece that a time is in."""
        if math.isfinite(time):
            index = self.index(time)  # which may make the row longer
            self.rows[name][index] += amount

    def add_all(self, name: str, times: Sequence[float], amount: float = 1.0) -> None:
        """Add to the piece of each of some times, of which none is infinite or no number."""
        self.index(min(times))
        last = self.index(max(times))  # which may make the pieces wider
        first, row = self.index(min(times)), self.rows[name]
        if first == last:
            row[first] += amount * len(times)
            return
        start, width = self.start, self.width
        for index, number in Counter(int((time - start) / width) for time in times).items():
            row[max(0, index)] += amount * number

    def spread(self, name: str, start: float, seconds: float, weight: float = 1.0) -> None:
        """Add a stretch of time to the pieces that it lies in, to each its share in seconds.

        Args:
            name: the row.
            start: when the stretch begins.
            seconds: how long it is.
            weight: what there was all the time; a second of it counts as so many.
        """
        if not (math.isfinite(start) and math.isfinite(seconds) and seconds > 0):
            return
        end = start + seconds
        if self._start is None:
            self._start = start
        row, width = self.rows[name], self.width
        piece = int((start - self._start) / width)
        if 0 <= piece < len(row) and int((end - self._start) / width) == piece:
            row[piece] += seconds * weight  # as most do
            return
        last = self.index(end)  # which may make the pieces wider
        first = self.index(start)
        row = self.rows[name]
        for index in range(first, last + 1):
            low = self.start + index * self.width
            share = min(end, low + self.width) - max(start, low)
            row[index] += max(0.0, share) * weight

    def _widen(self) -> None:
        self.width *= 2
        for name, row in self.rows.items():
            if len(row) % 2:
                row.append(0.0)
            self.rows[name] = [a + b for a, b in zip(row[::2], row[1::2], strict=True)]


@message
class Move:
    """A move of a task, as :class:`weft.values.events.TaskMoved` tells it."""

    time: float
    state: TaskState
    attempt: int
    executor: str
    place: str
    detail: str
    begun: float
    seconds: float | None


class _Moves:
    """The moves of all tasks, by columns; those of a task are linked from its latest one back."""

    def __init__(self) -> None:
        self._last: dict[TaskId, int] = {}
        self._before = array("q")
        self._time, self._begun, self._seconds = array("d"), array("d"), array("d")
        self._state = array("B")
        self._attempt = array("q")
        self._texts: list[str] = [""]
        self._numbers: dict[str, int] = {"": 0}
        self._executor, self._place, self._detail = array("I"), array("I"), array("I")

    def add(self, event: TaskMoved) -> None:
        self._before.append(self._last.get(event.id, -1))
        self._last[event.id] = len(self._time)
        self._time.append(event.time)
        self._begun.append(event.begun)
        self._seconds.append(math.nan if event.seconds is None else event.seconds)
        self._state.append(event.state)
        self._attempt.append(event.attempt)
        numbers = self._numbers
        for column, text in (
            (self._executor, event.executor),
            (self._place, event.place),
            (self._detail, event.detail),
        ):
            number = numbers.get(text)
            if number is None:
                number = numbers[text] = len(self._texts)
                self._texts.append(text)
            column.append(number)

    def of(self, task: TaskId) -> list[Move]:
        """The moves of a task, the first one first."""
        row = self._last.get(task, -1)
        found = []
        while row >= 0:
            seconds = self._seconds[row]
            found.append(
                Move(
                    self._time[row],
                    TaskState(self._state[row]),
                    self._attempt[row],
                    self._texts[self._executor[row]],
                    self._texts[self._place[row]],
                    self._texts[self._detail[row]],
                    self._begun[row],
                    None if math.isnan(seconds) else seconds,
                )
            )
            row = self._before[row]
        return found[::-1]


class NodeUse:
    """What tasks did on a node.

    Args:
        start: when the run began.

    Attributes:
        tries: how many ended there.
        failed: how many of them failed.
        seconds: for which functions ran there, in all.
        workers: the names of those that ran something.
        busy: seconds of that in each piece of the time.
        sampled: of how many tries there are samples of what they used.
        processor: seconds of processor time that those used.
        peak: the most memory of one of them, in bytes; 0 where that was not told.
        memory: bytes that they held, times the seconds for which they did, in each piece of the
            time.
    """

    __slots__ = (
        "busy",
        "failed",
        "memory",
        "peak",
        "processor",
        "sampled",
        "seconds",
        "tries",
        "workers",
    )

    def __init__(self, start: float) -> None:
        self.tries = self.failed = self.sampled = self.peak = 0
        self.seconds = self.processor = 0.0
        self.workers: set[str] = set()
        self.busy = Bins("busy", start=start)
        self.memory = Bins("memory", start=start)

    def used(self, samples: Sequence[ResourceSample], begun: float) -> None:
        """A try has ended here.

        Args:
            samples: what it used, in the order of time; at least one.
            begun: when it began, by the clock of the node; 0.0 if nobody knows.
        """
        last = samples[-1]
        self.sampled += 1
        self.processor += (last.user or 0.0) + (last.system or 0.0)
        self.peak = max(self.peak, *(one.peak or 0 for one in samples))
        at = begun
        for one in samples:
            # At the end of a try most of what it held is gone already: what a single sample tells
            # of the time before is the most there was.
            held = one.peak if len(samples) == 1 else one.resident
            if at and held:
                self.memory.spread("memory", at, one.time - at, held)
            at = one.time


class Traffic:
    """Files of one way between an executor and the hosts of one scheme.

    Attributes:
        moved: files that are where they were to be.
        failed: tries that failed.
        seconds: that the good ones took, in all.
        bytes: that the good ones moved, of those that tell it.
        unsized: how many do not.
    """

    __slots__ = ("bytes", "failed", "moved", "seconds", "unsized")

    def __init__(self) -> None:
        self.moved = self.failed = self.bytes = self.unsized = 0
        self.seconds = 0.0


class Annals:
    """What a run has told, beside its story.

    Args:
        story: which has been told each event before this is.

    Attributes:
        time: what happened in each piece of the time: tasks ``called``, ``done``, ``failed``,
            ``cancelled``; ``launched``, by how many more there were at its end than before it.
        edges: how many tasks of an app need one of another, by the names of both.
        needed_by: of each task, those that need it.
        nodes: what tasks did on each, by its name; the empty one where that was not told.
        traffic: by way, executor and scheme.
        moving: files that are on their way, by way and URL.
        files: the transfers that ended last.
        lost: of each task, its tries that ended without ending it.
    """

    def __init__(self, story: RunStory) -> None:
        self._story = story
        self.time = Bins("called", "done", "failed", "cancelled", "launched")
        self.edges: dict[tuple[str, str], int] = {}
        self.needed_by: dict[TaskId, list[TaskId]] = {}
        self.nodes: dict[str, NodeUse] = {}
        self.traffic: dict[tuple[str, str, str], Traffic] = {}
        self.moving: dict[tuple[str, str], FileMoving] = {}
        self.files: deque[FileMoved | FileNotMoved] = deque(maxlen=_MOVED)
        self.lost: dict[TaskId, deque[TryEnded]] = {}
        self._moves = _Moves()
        self._states: dict[TaskId, TaskState] = {}
        self._at: dict[str, NodeUse | None] = {}
        self._folds: Mapping[type, Callable[[Any], None]] = {
            TaskSubmitted: self._submitted,
            TaskMoved: self._moved,
            TryEnded: self._try_ended,
            FileMoving: self._file_moving,
            FileMoved: self._file_moved,
            FileNotMoved: self._file_not_moved,
        }

    def fold(self, events: Iterable[Any]) -> None:
        """Take in events that the story has taken in."""
        folds = self._folds
        for event in events:
            fold = folds.get(type(event))
            if fold is not None:
                fold(event)

    def take(self, batch: Batch) -> None:
        """Take in events as the story gave them back.

        What is by columns there is of tasks whose moves the story knows.
        """
        if batch.begun is not None:
            self.time.add_all("called", batch.begun.times)
            self.time.add_all("launched", batch.begun.times)
        self.fold(batch.others)
        done = batch.done
        if done is not None:
            self.time.add_all("done", done.times)
            self.time.add_all("launched", done.times, -1.0)
            for place, begun, seconds in zip(done.places, done.begun, done.seconds, strict=True):
                self._ran(place, begun, seconds, failed=False)
            if self._story.told:
                columns = zip(done.tasks, done.attempts, done.places, done.begun, strict=True)
                for each in columns:
                    self._used(*each)

    def moves(self, task: TaskId) -> list[Move]:
        """The moves of a task, the first one first."""
        told = self._story.tasks.begun(task)
        if told is None:
            return self._moves.of(task)
        first = Move(told.called, TaskState.LAUNCHED, 1, told.executor, "", "", 0.0, None)
        if told.ended is None:
            return [first, *self._moves.of(task)]
        last = (told.place, "", told.begun, told.seconds)
        return [first, Move(told.ended, TaskState.DONE, 1, "", *last), *self._moves.of(task)]

    def dependants(self, task: TaskId) -> Iterator[TaskId]:
        """The tasks that need a task, and those that need those, nearest first; each once."""
        seen, queue = {task}, deque([task])
        while queue:
            for number in self.needed_by.get(queue.popleft(), ()):
                if number not in seen:
                    seen.add(number)
                    queue.append(number)
                    yield number

    # ------------------------------------------------------------------------------- event by event

    def _submitted(self, event: TaskSubmitted) -> None:
        self.time.add("called", event.time)
        tasks = self._story.tasks
        for number in event.needs:
            need = tasks.get(number)
            if need is not None:
                key = (need.app, event.app)
                self.edges[key] = self.edges.get(key, 0) + 1
                self.needed_by.setdefault(number, []).append(event.id)

    def _moved(self, event: TaskMoved) -> None:
        state = event.state
        if type(state) is not TaskState:  # of a newer weft
            return
        self._moves.add(event)
        before = self._states.get(event.id) or self._straight_state(event.id)
        time = event.time
        if state is TaskState.LAUNCHED:
            self.time.add("launched", time)
        elif before is TaskState.LAUNCHED:
            self.time.add("launched", time, -1.0)
            self._ran(event.place, event.begun, event.seconds, state is TaskState.FAILED)
            self._used(event.id, event.attempt, event.place, event.begun)
        if state in FINAL:
            self.time.add(_ROWS[state], time)
            self._states.pop(event.id, None)
            if self._story.tasks.begun(event.id) is not None:
                self._states[event.id] = state
        else:
            self._states[event.id] = state

    def _straight_state(self, task: TaskId) -> TaskState | None:
        """Where a task was that was told of by columns alone until now; ``None`` of another."""
        told = self._story.tasks.begun(task)
        if told is None:
            return None
        return TaskState.LAUNCHED if told.ended is None else TaskState.DONE

    def _ran(self, place: str, begun: float, seconds: float | None, failed: bool) -> None:
        node = self._at[place] if place in self._at else self._node(place)
        if node is None:
            return
        node.tries += 1
        node.failed += failed
        if seconds is not None:
            node.seconds += seconds
            if begun:
                node.busy.spread("busy", begun, seconds)

    def _used(self, task: TaskId, attempt: int, place: str, begun: float) -> None:
        told = self._story.told.get(task)
        samples = [one for one in told.samples if one.attempt == attempt] if told else []
        node = self._at.get(place)
        if samples and node is not None:
            node.used(samples, begun)

    def _node(self, place: str) -> NodeUse | None:
        """The node of a place, which is looked up once; ``None`` where there are too many."""
        worker, name = split_place(place)
        node = self.nodes.get(name)
        if node is None and len(self.nodes) < _NODES:
            node = self.nodes[name] = NodeUse(self._story.first)
        if node is not None and worker:
            node.workers.add(worker)
        self._at[place] = node
        return node

    def _try_ended(self, event: TryEnded) -> None:
        self.lost.setdefault(event.id, deque(maxlen=50)).append(event)

    def _traffic(self, event: FileMoved | FileNotMoved) -> Traffic:
        self.moving.pop((event.way, event.url), None)
        self.files.append(event)
        scheme = scheme_of(event.url)
        key = (event.way, event.executor, scheme)
        return self.traffic.setdefault(key, Traffic())

    def _file_moving(self, event: FileMoving) -> None:
        if len(self.moving) < _NODES or (event.way, event.url) in self.moving:
            self.moving[event.way, event.url] = event

    def _file_moved(self, event: FileMoved) -> None:
        traffic = self._traffic(event)
        traffic.moved += 1
        traffic.seconds += event.seconds
        if event.size is None:
            traffic.unsized += 1
        else:
            traffic.bytes += event.size

    def _file_not_moved(self, event: FileNotMoved) -> None:
        self._traffic(event).failed += 1


_ROWS: Final = {
    TaskState.DONE: "done",
    TaskState.FAILED: "failed",
    TaskState.CANCELLED: "cancelled",
}


def scheme_of(url: str) -> str:
    """The scheme of a URL; ``file`` for what has none."""
    try:
        return urlsplit(url).scheme or "file"
    except ValueError:
        return "?"
