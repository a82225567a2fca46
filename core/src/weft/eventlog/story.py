"""What the events of a run come to: its tasks, apps, executors, blocks, files and failures. Pure.

A story is folded from events in the order in which they were told, at once or piece by piece: a
live view folds what is new into the story that it has. It takes time and memory linear in the
number of tasks, and bears any beginning, gap or repetition: a log may be cut, and a monitor may
have been too slow.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from weft.eventlog.batches import AGES, Batch, Begun, Done
from weft.eventlog.straight import Straight, StraightTask
from weft.values.events import (
    BlockChanged,
    CallFailed,
    ExecutorStarted,
    ExecutorStopped,
    FileMoved,
    FileMoving,
    FileNotMoved,
    LogLine,
    ManagerChanged,
    Notice,
    ResourceSample,
    RunEnded,
    RunStarted,
    TaskDetails,
    TaskMoved,
    TaskSubmitted,
    TryEnded,
)
from weft.values.message import message
from weft.values.states import FINAL, TaskState
from weft.values.task import TaskId

__all__ = [
    "AppStory",
    "Cause",
    "ExecutorStory",
    "RunStory",
    "Split",
    "TaskStory",
    "TaskTold",
    "Tasks",
]

_ROOT: Final = re.compile(r"<- [^<]* \(task (\d{1,18})\)\.$")
"""The end of the error of a task that could not start: the task because of which that was so."""
_MOST_BYTES: Final = 2**63
"""No file is larger. A log may say anything."""
_NOTICES: Final = 10_000
"""Notices that are kept; of more, the rest are counted."""
_LINES: Final = 200
"""Lines of one task that are kept, the latest; earlier ones are counted."""
_LINES_IN_ALL: Final = 100_000
"""Lines of all tasks that are kept; more are counted."""
_TRACEBACKS: Final = 10
"""Tracebacks of one task that are kept, of its latest tries."""
_LETTERS: Final = 64 * 2**20
"""Letters of arguments, results and tracebacks of all tasks that are kept."""
_SAMPLES: Final = 512
"""Samples of one task that are kept; of more, every second one goes, and later ones like it."""


class Split:
    """Where the time of tasks went, in seconds.

    Attributes:
        waited: for inputs, for memory, for a retry to be due.
        staged: while files were brought or taken away.
        launched: from when an executor got them until it had answered: in its queue, on the way,
            and running.
        joined: for the tasks that a join app had returned.
        ran: of ``launched``, while functions ran, by the clocks of the workers; of tries whose
            worker did not say, none.
        sent: of ``launched``, until the function began: in the executor's queue, and on the way.
        returned: of ``launched``, from the end of the function until that was known here.

    ``sent`` and ``returned`` compare the clock of a node with the one here; what would be before
    the launch, or after the end, is taken to be at it. Where the worker did not say, all of
    ``launched`` belongs to none of the three.
    """

    __slots__ = ("joined", "launched", "ran", "returned", "sent", "staged", "waited")

    def __init__(self) -> None:
        self.waited = self.staged = self.launched = self.joined = 0.0
        self.ran = self.sent = self.returned = 0.0

    def add(self, state: TaskState, seconds: float) -> None:
        """Count time in a state."""
        if state is TaskState.LAUNCHED:
            self.launched += seconds
        elif state is TaskState.PENDING:
            self.waited += seconds
        elif state is TaskState.JOINING:
            self.joined += seconds
        else:
            self.staged += seconds

    def add_try(self, launched: float, ended: float, begun: float, seconds: float) -> None:
        """Count what a worker said of a try: when it began, and how long it ran."""
        if not 0 <= seconds < AGES:
            return
        self.ran += seconds
        if begun:
            spare = max(0.0, ended - launched - seconds)
            sent = min(max(0.0, begun - launched), spare)
            self.sent += sent
            self.returned += spare - sent

    def include(self, other: Split) -> None:
        """Add the times of another."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def total(self) -> float:
        """All of it."""
        return self.waited + self.staged + self.launched + self.joined


class TaskStory:
    """A task.

    Attributes:
        id: its number.
        app: the name of its app.
        state: where it is.
        submitted: when it was called; 0.0 if that was not told.
        since: when it came into its state.
        needs: the numbers of the tasks whose results it waits for.
        inputs, outputs: the files that the call names, those that it is to make.
        attempt: its latest try; 0 before the first.
        lost_tries: tries that ended without ending it.
        executor: the label of where its latest try ran; may be empty.
        place: where that was, in the executor's words; may be empty.
        error: the first line of its error, if it failed, or of its latest try's.
        from_memory: whether memory answered it.
        split: where its time went.
    """

    __slots__ = (
        "app",
        "attempt",
        "error",
        "executor",
        "from_memory",
        "id",
        "inputs",
        "lost_tries",
        "needs",
        "outputs",
        "place",
        "since",
        "split",
        "state",
        "submitted",
    )

    def __init__(self, number: TaskId, app: str, time: float) -> None:
        self.id, self.app = number, app
        self.state: TaskState = TaskState.PENDING
        self.submitted, self.since = 0.0, time
        self.needs: tuple[TaskId, ...] = ()
        self.inputs: tuple[str, ...] = ()
        self.outputs: tuple[str, ...] = ()
        self.attempt = self.lost_tries = 0
        self.executor = self.place = self.error = ""
        self.from_memory = False
        self.split = Split()


class Tasks(Mapping[TaskId, TaskStory]):
    """The tasks of a run by their numbers, in the order of their calls.

    Those that went straight through are kept by columns: of such a task, each look makes an object
    anew, which tells how the task is at that time.

    Attributes:
        straight: the tasks that began by columns, by rows.
    """

    def __init__(self) -> None:
        self.straight = Straight()
        self._rows: dict[TaskId, int] = {}
        self._kept: dict[TaskId, TaskStory | None] = {}
        """All tasks; ``None`` of those that are nothing but their row."""

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[TaskId]:
        return iter(self._kept)

    def __contains__(self, number: object) -> bool:
        return number in self._kept

    def __getitem__(self, number: TaskId) -> TaskStory:
        return self._kept[number] or _story_of(number, self.straight[self._rows[number]])

    def begun(self, number: TaskId) -> StraightTask | None:
        """What was told by columns of a task; ``None`` of one that did not begin so."""
        row = self._rows.get(number)
        return None if row is None else self.straight[row]

    def is_straight(self, number: TaskId) -> bool:
        """Whether a task is there of which nothing was told but by columns."""
        return self._kept.get(number, self) is None

    def begin(self, told: Begun) -> bool:
        """Take in tasks by columns. Returns whether it did: all of them have to be new."""
        new = dict.fromkeys(told.tasks)
        if len(new) != len(told.tasks) or not self._kept.keys().isdisjoint(new):
            return False
        first = len(self.straight)
        self.straight.begin(told)
        self._rows.update(zip(told.tasks, range(first, first + len(new)), strict=True))
        self._kept.update(new)
        return True

    def rows_of(self, told: Done) -> list[int | None]:
        """The row of each task that is done; ``None`` where that is not all that was told of it."""
        rows: list[int | None] = []
        seen = set()
        for number, attempt in zip(told.tasks, told.attempts, strict=True):
            row = self._rows[number] if attempt == 1 and self.is_straight(number) else None
            fits = row is not None and row not in seen and self.straight.open(row)
            rows.append(row if fits else None)
            seen.add(row)
        return rows

    def objects(self) -> Iterator[TaskStory]:
        """The tasks of which more was told than by columns, in the order of their calls."""
        return filter(None, self._kept.values())

    def kept(self, number: TaskId) -> TaskStory | None:
        """A task as an object that stays, for more to be told of it; ``None`` if there is none."""
        found = self._kept.get(number)
        if found is None and number in self._kept:
            found = self._kept[number] = self[number]
        return found

    def add(self, number: TaskId, app: str, time: float) -> TaskStory:
        """A task that is new."""
        found = self._kept[number] = TaskStory(number, app, time)
        return found


def _story_of(number: TaskId, told: StraightTask) -> TaskStory:
    task = TaskStory(number, told.app, told.called)
    task.submitted, task.attempt, task.executor = told.called, 1, told.executor
    task.state = TaskState.LAUNCHED
    if told.ended is not None:
        task.state, task.since, task.place = TaskState.DONE, told.ended, told.place
        if told.ended > told.called:
            task.split.launched = told.ended - told.called
        if told.seconds is not None:
            task.split.add_try(told.called, told.ended, told.begun, told.seconds)
    return task


class _Some(Mapping[TaskId, TaskStory]):
    """Some of the tasks."""

    def __init__(self, tasks: Tasks, numbers: Mapping[TaskId, None]) -> None:
        self._tasks, self._numbers = tasks, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[TaskId]:
        return iter(self._numbers)

    def __getitem__(self, number: TaskId) -> TaskStory:
        if number not in self._numbers:
            raise KeyError(number)
        return self._tasks[number]


class TaskTold:
    """What a task was called with, what came of it, and what it said and used while it ran.

    Attributes:
        arguments: of its call, as they would stand in it, cut; ``None`` if they were not told.
        result: what it returned, cut; ``None`` if that was not told.
        tracebacks: by the number of the try, of its latest tries that failed, as far as told.
        lines: what it logged and printed, the latest.
        unkept: how many lines there were before those, or were too many in all.
        dropped: how many it said besides, that nobody was told of.
        samples: what it used, in the order of time; where it took long, not all of them, but always
            the latest.
        peak: the most resident memory of one try, in bytes; ``None`` if that was not told.
    """

    __slots__ = (
        "_every",
        "_seen",
        "arguments",
        "dropped",
        "lines",
        "peak",
        "result",
        "samples",
        "tracebacks",
        "unkept",
    )

    def __init__(self) -> None:
        self.arguments: str | None = None
        self.result: str | None = None
        self.tracebacks: dict[int, str] = {}
        self.lines: list[LogLine] = []
        self.unkept = self.dropped = 0
        self.samples: list[ResourceSample] = []
        self.peak: int | None = None
        self._seen, self._every = 0, 1

    def add_details(self, details: TaskDetails) -> int:
        """Take what is told of one try. Returns how many letters that was."""
        letters = 0
        if details.arguments is not None:
            self.arguments = details.arguments
            letters += len(details.arguments)
        if details.result is not None:
            self.result = details.result
            letters += len(details.result)
        if details.traceback:
            self.tracebacks[details.attempt] = details.traceback
            letters += len(details.traceback)
            if len(self.tracebacks) > _TRACEBACKS:
                del self.tracebacks[next(iter(self.tracebacks))]
        return letters

    def add_line(self, line: LogLine, *, room: bool) -> int:
        """Take a line. Returns how many more are kept now."""
        self.dropped += line.dropped
        if not room:
            self.unkept += 1
            return 0
        self.lines.append(line)
        if len(self.lines) <= _LINES:
            return 1
        del self.lines[0]
        self.unkept += 1
        return 0

    def add_sample(self, sample: ResourceSample) -> None:
        """Take a sample."""
        if sample.peak is not None:
            self.peak = max(self.peak or 0, sample.peak)
        samples = self.samples
        # The latest stands there in any case, and gives way where it is not one to be kept.
        if self._seen and (self._seen - 1) % self._every and not samples[-1].last:
            samples.pop()
        samples.append(sample)
        self._seen += 1
        if len(samples) > _SAMPLES:
            del samples[1:-1:2]
            self._every *= 2


class AppStory:
    """All calls of an app.

    Attributes:
        name: the app's.
        counts: how many of its tasks are in each state.
        from_memory: how many memory answered.
        lost_tries: tries that ended without ending their task.
        split: where the time of its tasks went, as far as they have gone.
        longest: the longest time that one try of one of its tasks was launched, in seconds.
    """

    __slots__ = ("counts", "from_memory", "longest", "lost_tries", "name", "split")

    def __init__(self, name: str) -> None:
        self.name = name
        self.counts = dict.fromkeys(TaskState, 0)
        self.from_memory = self.lost_tries = 0
        self.split = Split()
        self.longest = 0.0

    @property
    def tasks(self) -> int:
        """How many there are."""
        return sum(self.counts.values())


class ExecutorStory:
    """An executor.

    Attributes:
        label, plugin: its names; the second may be empty if its start was not told.
        started, stopped: when; ``None`` if it did not, or that was not told.
        launched: how many tries it got.
        holds: how many it has now, running or in its queue.
    """

    __slots__ = ("holds", "label", "launched", "plugin", "started", "stopped")

    def __init__(self, label: str) -> None:
        self.label, self.plugin = label, ""
        self.started: float | None = None
        self.stopped: float | None = None
        self.launched = self.holds = 0


@message
class Cause:
    """Tasks that failed by themselves in one way, and what failed because of them.

    Attributes:
        app: the app that failed.
        error: the class of its error.
        count: how many tasks.
        task: the number of the first one.
        example: the first line of its error.
        others: how many tasks failed because these had.
    """

    app: str
    error: str
    count: int
    task: TaskId
    example: str
    others: int


class RunStory:
    """A run, as far as its events tell.

    Attributes:
        started, ended: the first and the last event of a run; ``None`` while they were not told.
        first, last: the times of the earliest and the latest event; 0.0 before there is any.
        events: how many were folded.
        tasks: by their numbers.
        launched: those that an executor has, by their numbers, the longest launched first.
        last_failed: the task that failed last.
        apps: by their names, in the order of their first calls.
        counts: how many tasks are in each state.
        executors: by their labels.
        blocks: of each block, by executor and name, what was told of it last.
        managers: of each manager of an executor, what was told of it last.
        moved, unmoved: transfers of files that ended well; tries of some that did not.
        moving: seconds that the good ones took, in all.
        moved_bytes: what the good ones moved, of those that tell it.
        calls: what failed calls and their functions are called in other runs, by the numbers of
            their tasks.
        unsized: how many of the good ones do not tell it, such as all in a log of an older weft.
        told: what tasks were called with, said and used, by their numbers: of those of which that
            was told.
        undetailed: how often arguments, results and tracebacks are too many to be kept.
        notices: what a person should know, in its order.
        unkept: notices that are too many to be kept.
        others: how many events there were of the classes that the story does not speak of, by the
            names of those; and how many whose time cannot be.
    """

    def __init__(self) -> None:
        self.started: RunStarted | None = None
        self.ended: RunEnded | None = None
        self.first = self.last = 0.0
        self.events = 0
        self.tasks = Tasks()
        self._launched: dict[TaskId, None] = {}
        self.launched: Mapping[TaskId, TaskStory] = _Some(self.tasks, self._launched)
        self.last_failed: TaskStory | None = None
        self._last_cause: tuple[TaskStory, TaskStory] | None = None
        self.apps: dict[str, AppStory] = {}
        self.counts: dict[TaskState, int] = dict.fromkeys(TaskState, 0)
        self.executors: dict[str, ExecutorStory] = {}
        self.blocks: dict[tuple[str, str], BlockChanged] = {}
        self.managers: dict[tuple[str, str], ManagerChanged] = {}
        self.moved = self.unmoved = 0
        self.moving = 0.0
        self.moved_bytes = self.unsized = 0
        self.calls: dict[TaskId, CallFailed] = {}
        self.told: dict[TaskId, TaskTold] = {}
        self.undetailed = 0
        self._lines = self._letters = 0
        self.notices: list[Notice] = []
        self.unkept = 0
        self.others: dict[str, int] = {}
        self._folds: Mapping[type, Callable[[Any], None]] = {
            RunStarted: self._run_started,
            RunEnded: self._run_ended,
            ExecutorStarted: self._executor_started,
            ExecutorStopped: self._executor_stopped,
            BlockChanged: self._block_changed,
            ManagerChanged: self._manager_changed,
            TaskSubmitted: self._submitted,
            TaskMoved: self._moved,
            CallFailed: self._call_failed,
            TryEnded: self._try_ended,
            TaskDetails: self._details,
            FileMoved: self._file_moved,
            FileNotMoved: self._file_not_moved,
            FileMoving: _nothing,
            LogLine: self._line,
            ResourceSample: self._sample,
            Notice: self._notice,
        }

    def fold(self, events: Iterable[Any]) -> RunStory:
        """Take in more events, which come after those before. Returns itself."""
        folds = self._folds
        for event in events:
            self.events += 1
            time = event.time
            if not -AGES < time < AGES:
                self.others["(at no time)"] = self.others.get("(at no time)", 0) + 1
                continue
            self.last = max(self.last, time)
            if not self.first and time:
                self.first = time
            fold = folds.get(type(event))
            if fold is not None:
                fold(event)
            else:
                kind = getattr(event, "kind", type(event).__name__)
                self.others[kind] = self.others.get(kind, 0) + 1
        return self

    def take(self, batch: Batch) -> Batch:
        """Take in more events, which come after those before, by columns where that can be.

        Returns:
            The same events: by columns those of tasks of which nothing else was told until then,
            all others as events.
        """
        if not self.first:
            possible = (one.time for one in batch.events() if -AGES < one.time < AGES)
            self.first = next(filter(None, possible), 0.0)
        begun, done, others = batch.begun, batch.done, batch.others
        if begun is not None and not self._take_begun(begun):
            others = list(chain(begun.events(), others))
            begun = None
        self.fold(others)
        if done is not None:
            rows = self.tasks.rows_of(done)
            late: list[Any] = []
            if None in rows:
                done, rest = done.parted([row is not None for row in rows])
                late = list(rest.events())
            self._take_done([row for row in rows if row is not None], done)
            self.fold(late)
            others = [*others, *late] if late else others
        return Batch(begun, others, done)

    # ----------------------------------------------------------------------------------- what it is

    @property
    def seconds(self) -> float:
        """How long the run took, or has taken so far."""
        return max(0.0, self.last - (self.started.time if self.started else self.first))

    @property
    def unfinished(self) -> int:
        """Tasks that have not ended."""
        return sum(count for state, count in self.counts.items() if state not in FINAL)

    def split(self) -> Split:
        """Where the time of all tasks went, as far as they have gone."""
        whole = Split()
        for app in self.apps.values():
            whole.include(app.split)
        return whole

    def root_of(self, task: TaskStory) -> TaskStory:
        """The task because of which a failed one failed: one that it needs, or itself."""
        seen = {task.id}
        while (need := self._failed_need(task)) is not None and need.id not in seen:
            task = need
            seen.add(task.id)
        return task

    def _failed_need(self, task: TaskStory) -> TaskStory | None:
        """A task that one needs, and whose failure was its own; ``None`` if there is none."""
        if task.attempt:  # what was tried has failed by itself
            return None
        for number in task.needs:
            need = self.tasks.get(number)
            if need is not None and need.state is TaskState.FAILED and need is not task:
                return need
        # What had ended before the call is none of the needs that are told; the error names it.
        named = _ROOT.search(task.error)
        need = self.tasks.get(TaskId(int(named[1]))) if named is not None else None
        failed = need is not None and need.state is TaskState.FAILED and need is not task
        return need if failed else None

    def last_cause(self) -> tuple[TaskStory, TaskStory] | None:
        """The task that failed last, and the one because of which it did; ``None`` of none.

        In constant time until another task fails.
        """
        last = self.last_failed
        if last is None:
            return None
        if self._last_cause is None or self._last_cause[0] is not last:
            self._last_cause = (last, self.root_of(last))
        return self._last_cause

    def causes(self) -> list[Cause]:
        """The failures by what caused them; those that cost most first."""
        own: dict[tuple[str, str], list[TaskStory]] = {}
        others: dict[tuple[str, str], int] = {}
        roots: dict[TaskId, TaskStory] = {}
        for task in self.tasks.objects():  # the others are done, or launched
            if task.state is not TaskState.FAILED:
                continue
            root = self._root(task, roots)
            key = (root.app, _kind_of(root.error))
            if root is task:
                own.setdefault(key, []).append(task)
            else:
                others[key] = others.get(key, 0) + 1
        causes = [
            Cause(app, error, len(tasks), tasks[0].id, tasks[0].error, others.get((app, error), 0))
            for (app, error), tasks in own.items()
        ]
        return sorted(causes, key=lambda one: -(one.count + one.others))

    def _root(self, task: TaskStory, known: dict[TaskId, TaskStory]) -> TaskStory:
        """As ``root_of``, in constant time for each task of a chain whose needs came before it."""
        need = self._failed_need(task)
        root = task if need is None else known.get(need.id) or self.root_of(need)
        known[task.id] = root
        return root

    # ------------------------------------------------------------------------------- event by event

    def _run_started(self, event: RunStarted) -> None:
        self.started = event

    def _run_ended(self, event: RunEnded) -> None:
        self.ended = event

    def _executor(self, label: str) -> ExecutorStory:
        found = self.executors.get(label)
        if found is None:
            found = self.executors[label] = ExecutorStory(label)
        return found

    def _executor_started(self, event: ExecutorStarted) -> None:
        executor = self._executor(event.label)
        executor.plugin, executor.started = event.plugin, event.time

    def _executor_stopped(self, event: ExecutorStopped) -> None:
        self._executor(event.label).stopped = event.time

    def _block_changed(self, event: BlockChanged) -> None:
        self.blocks[event.executor, event.block] = event

    def _manager_changed(self, event: ManagerChanged) -> None:
        self.managers[event.executor, event.manager] = event

    def _saw(self, count: int, times: Sequence[float]) -> None:
        """Count events of tasks by columns."""
        self.events += count
        last = max(times)
        self.last = max(self.last, last)

    def _take_begun(self, told: Begun) -> bool:
        """Take in tasks that begin. Returns whether it did: all of them have to be new."""
        if not self.tasks.begin(told):
            return False
        self._saw(2 * len(told.tasks), told.times)
        self.counts[TaskState.LAUNCHED] += len(told.tasks)
        for name, number in Counter(told.apps).items():
            self._app(name).counts[TaskState.LAUNCHED] += number
        for label, number in Counter(told.executors).items():
            executor = self._executor(label)
            executor.launched += number
            executor.holds += number
        self._launched.update(dict.fromkeys(told.tasks))
        return True

    def _take_done(self, rows: Sequence[int], told: Done) -> None:
        """Take in that tasks are done, of which each has a row."""
        if not rows:
            return
        straight = self.tasks.straight
        self._saw(len(rows), told.times)
        straight.end(rows, told)
        for number in told.tasks:
            del self._launched[number]
        for label, number in Counter(straight.executors(rows)).items():
            self._executor(label).holds -= number
        names = straight.apps(rows)
        for counts, number in [(self.counts, len(rows))] + [
            (self._app(name).counts, number) for name, number in Counter(names).items()
        ]:
            counts[TaskState.LAUNCHED] -= number
            counts[TaskState.DONE] += number
        for name, launched, ended, begun, seconds in zip(
            names, straight.called(rows), told.times, told.begun, told.seconds, strict=True
        ):
            app = self.apps[name]
            spent = ended - launched
            if spent > 0:
                app.split.launched += spent
                app.longest = max(app.longest, spent)
            if seconds is not None:
                app.split.add_try(launched, ended, begun, seconds)

    def _task(self, event: Any) -> tuple[TaskStory, AppStory]:
        task = self.tasks.kept(event.id)
        if task is None:
            task = self.tasks.add(event.id, event.app, event.time)
            app = self._app(event.app)
            app.counts[task.state] += 1
            self.counts[task.state] += 1
            return task, app
        return task, self._app(task.app)

    def _app(self, name: str) -> AppStory:
        app = self.apps.get(name)
        if app is None:
            app = self.apps[name] = AppStory(name)
        return app

    def _submitted(self, event: TaskSubmitted) -> None:
        task, _app = self._task(event)
        task.submitted, task.needs = event.time, event.needs
        task.inputs, task.outputs = event.inputs, event.outputs

    def _moved(self, event: TaskMoved) -> None:
        task, app = self._task(event)
        before, after = task.state, event.state
        if type(after) is not TaskState:  # of a newer weft
            return
        spent = event.time - task.since
        if spent > 0 and before not in FINAL:
            task.split.add(before, spent)
            app.split.add(before, spent)
            if before is TaskState.LAUNCHED and spent > app.longest:
                app.longest = spent
        if before is TaskState.LAUNCHED:
            task.place = event.place or task.place
            self._launched.pop(task.id, None)
            self._executor(task.executor).holds -= 1
            if event.seconds is not None:
                for split in (task.split, app.split):
                    split.add_try(task.since, event.time, event.begun, event.seconds)
        task.since, task.state = event.time, after
        for counts in (self.counts, app.counts):
            counts[before] -= 1
            counts[after] += 1
        task.attempt = max(task.attempt, event.attempt)
        if after is TaskState.LAUNCHED:
            task.executor = event.executor
            self._launched[task.id] = None
            executor = self._executor(event.executor)
            executor.launched += 1
            executor.holds += 1
        elif after is TaskState.FAILED:
            task.error = event.detail
            self.last_failed = task
        elif after is TaskState.DONE and event.detail == "memory" and not task.from_memory:
            task.from_memory = True
            app.from_memory += 1

    def _call_failed(self, event: CallFailed) -> None:
        self.calls[event.id] = event

    def _try_ended(self, event: TryEnded) -> None:
        task, app = self._task(event)
        task.lost_tries += 1
        app.lost_tries += 1
        task.attempt = max(task.attempt, event.attempt)
        task.error = task.error or event.error

    def _file_moved(self, event: FileMoved) -> None:
        self.moved += 1
        self.moving += event.seconds
        size = event.size
        if size is not None and 0 <= size < _MOST_BYTES:
            self.moved_bytes += size
        else:
            self.unsized += 1

    def _file_not_moved(self, _event: FileNotMoved) -> None:
        self.unmoved += 1

    def _told(self, number: TaskId) -> TaskTold:
        found = self.told.get(number)
        if found is None:
            found = self.told[number] = TaskTold()
        return found

    def _details(self, event: TaskDetails) -> None:
        if self._letters < _LETTERS:
            # A task takes room, too.
            self._letters += self._told(event.id).add_details(event) + 200
        else:
            self.undetailed += 1

    def _line(self, event: LogLine) -> None:
        told = self._told(event.id)
        self._lines += told.add_line(event, room=self._lines < _LINES_IN_ALL)

    def _sample(self, event: ResourceSample) -> None:
        self._told(event.id).add_sample(event)

    def _notice(self, event: Notice) -> None:
        if len(self.notices) < _NOTICES:
            self.notices.append(event)
        else:
            self.unkept += 1


def _nothing(_event: Any) -> None:
    """How far a transfer is tells nothing of what became of it."""


def _kind_of(error: str) -> str:
    """The class in an error's first line, such as ``ValueError: no such strand``."""
    name, _, _ = error.partition(":")
    return name if name.isidentifier() else "error"
