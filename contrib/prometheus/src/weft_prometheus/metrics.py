"""What events come to as metrics: counters, gauges and histograms of one run.

Knows no port, no file, no thread and no clock. One thread takes events; others may read the
registry at any time.

The number of series is bounded whatever a run does: labels are apps, of which those beyond a limit
share one name, executors, states, and ways in which something can end. Never tasks, files, blocks
or texts.
"""

from collections import Counter as Tally
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from weft.interfaces.monitor import Interest
from weft.values.blocks import BLOCK_ENDED, BlockState
from weft.values.events import (
    BlockChanged,
    Event,
    FileMoved,
    FileNotMoved,
    ManagerChanged,
    Notice,
    ResourceSample,
    RunEnded,
    RunStarted,
    TaskMoved,
    TaskSubmitted,
    TryEnded,
)
from weft.values.states import FINAL, TaskState
from weft.values.task import TaskId

__all__ = ["INTERESTS", "OTHER", "Metrics"]

INTERESTS: Final[frozenset[Interest]] = frozenset(
    {
        RunStarted,
        BlockChanged,
        ManagerChanged,
        TaskSubmitted,
        TaskMoved,
        TryEnded,
        ResourceSample,
        FileMoved,
        FileNotMoved,
        Notice,
        RunEnded,
    }
)
"""What is told to ``Metrics.take``; other events change nothing."""

OTHER: Final = "other"
"""The name of all apps beyond those that have series of their own."""

_LONGEST: Final = 200
_SECONDS: Final = (0.001, 0.01, 0.1, 1.0, 10.0, 60.0, 300.0, 1800.0, 3600.0, 14400.0, 86400.0)
_BYTES: Final = tuple(float(1 << power) for power in range(20, 42, 2))
_LIVE_BLOCKS: Final = tuple(state for state in BlockState if state not in BLOCK_ENDED)
_LIVE_MANAGERS: Final = ("working", "draining", "away")


@attrs.define(eq=False)
class _Open:
    """A task that has not ended. ``launched`` is 0 while it never was."""

    state: TaskState
    submitted: float
    launched: float = 0.0


@attrs.frozen(eq=False)
class _App:
    """The series of one app; looked up once, since that costs as much as counting."""

    submitted: Counter
    ended: Mapping[TaskState, Counter]
    ran: Histogram
    started: Histogram
    took: Histogram


class Metrics:
    """Folds events into metrics.

    Args:
        run_id: of the run.
        program: the script that runs, for people.
        max_apps: how many apps have series of their own.

    Attributes:
        registry: holds the metrics of this run and no others.
    """

    def __init__(self, *, run_id: str, program: str, max_apps: int) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._max_apps = max_apps
        self._apps: dict[str, _App] = {}
        self._open: dict[TaskId, _Open] = {}
        self._counts = dict.fromkeys((state for state in TaskState if state not in FINAL), 0)
        self._blocks: dict[tuple[str, str], BlockState] = {}
        self._managers: dict[tuple[str, str], tuple[str, int]] = {}
        self._executors: set[str] = set()
        self._facts = {"run_id": _label(run_id), "program": _label(program)}
        self._define()
        self._run.info(self._facts)
        self._show_open()

    def _define(self) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=self.registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, registry=self.registry)

        def histogram(name: str, text: str, label: str, buckets: Sequence[float]) -> Histogram:
            return Histogram(name, text, (label,), registry=self.registry, buckets=buckets)

        self._run = Info("weft_run", "The run that these metrics are of.", registry=self.registry)
        self._began = gauge("weft_run_started_timestamp_seconds", "When the run began.")
        self._ended = gauge(
            "weft_run_ended_timestamp_seconds", "When the run ended; 0 while it has not."
        )
        self._lost = gauge(
            "weft_events_lost",
            "Events that these metrics lack since monitors were too slow; known at the end.",
        )
        self._tasks = gauge("weft_tasks", "Unfinished tasks by state.", "state")
        self._submitted = counter("weft_tasks_submitted", "Calls of apps.", "app")
        self._finished = counter("weft_tasks_ended", "Tasks that have ended.", "app", "state")
        self._retried = counter(
            "weft_tries_ended",
            "Tries that ended without ending their task, by how they ended.",
            "app",
            "ended",
        )
        self._ran = histogram(
            "weft_task_run_seconds", "How long a try ran, by its worker's clock.", "app", _SECONDS
        )
        self._started = histogram(
            "weft_task_start_delay_seconds",
            "From the launch of a task's last try until it began to run.",
            "app",
            _SECONDS,
        )
        self._took = histogram(
            "weft_task_total_seconds", "From a call until the task had ended.", "app", _SECONDS
        )
        self._cpu = counter(
            "weft_task_cpu_seconds",
            "Processor time of tries, where samples are taken.",
            "executor",
            "mode",
        )
        self._peak = histogram(
            "weft_task_peak_memory_bytes",
            "The most memory of a try, where samples are taken.",
            "executor",
            _BYTES,
        )
        self._block = gauge("weft_blocks", "Blocks that have not ended.", "executor", "state")
        self._block_ends = counter("weft_blocks_ended", "Ended blocks.", "executor", "state")
        self._manager = gauge("weft_managers", "Managers of blocks.", "executor", "state")
        self._manager_ends = counter("weft_managers_ended", "Ended managers.", "executor", "state")
        self._workers = gauge("weft_workers", "Workers of working managers.", "executor")
        self._moved = counter("weft_files_moved", "Files that were moved.", "executor", "way")
        self._bytes_moved = counter(
            "weft_file_bytes", "What was moved, where it is known.", "executor", "way"
        )
        self._not_moved = counter(
            "weft_file_failures", "Tries to move a file that failed.", "executor", "way"
        )
        self._moving = histogram(
            "weft_file_seconds", "How long it took to move a file.", "way", _SECONDS
        )
        self._notices = counter("weft_notices", "What a person should know, by level.", "level")

    # ------------------------------------------------------------------------------------- events

    def take(self, events: Sequence[Event]) -> None:
        """Count what happened; events of other classes change nothing."""
        for event in events:
            taker = _TAKERS.get(type(event))
            if taker is not None:
                taker(self, event)
        self._show_open()

    def _show_open(self) -> None:
        for state, count in self._counts.items():
            self._tasks.labels(state.label).set(count)

    def _run_started(self, event: RunStarted) -> None:
        more = {"weft_version": event.weft_version, "host": event.host, "user": event.user}
        self._facts.update((name, _label(text)) for name, text in more.items())
        self._run.info(self._facts)
        self._began.set(event.time)

    def _run_ended(self, event: RunEnded) -> None:
        self._ended.set(event.time)
        self._lost.set(event.lost_events)
        # What is still here are tasks whose end was not told.
        self._open.clear()
        self._counts = dict.fromkeys(self._counts, 0)

    def _task_submitted(self, event: TaskSubmitted) -> None:
        self._opened(event.id, TaskState.PENDING, event.time)
        self._app(event.app).submitted.inc()

    def _opened(self, number: TaskId, state: TaskState, time: float) -> _Open:
        task = self._open[number] = _Open(state, time)
        self._counts[state] += 1
        return task

    def _task_moved(self, event: TaskMoved) -> None:
        if event.state in FINAL:
            self._task_ended(event)
            return
        task = self._open.get(event.id) or self._opened(event.id, event.state, event.time)
        self._counts[task.state] -= 1
        self._counts[event.state] += 1
        task.state = event.state
        if event.state is TaskState.LAUNCHED:
            task.launched = event.time

    def _task_ended(self, event: TaskMoved) -> None:
        app = self._app(event.app)
        app.ended[event.state].inc()
        task = self._open.pop(event.id, None)
        if task is not None:
            self._counts[task.state] -= 1
            app.took.observe(max(0.0, event.time - task.submitted))
        if event.seconds is None:
            return
        app.ran.observe(event.seconds)
        if task is not None and task.launched and event.begun:
            # The clock of its node may be another: it began after its launch, and early enough.
            latest = event.time - task.launched - event.seconds
            app.started.observe(max(0.0, min(event.begun - task.launched, latest)))

    def _try_ended(self, event: TryEnded) -> None:
        self._retried.labels(self._name_of(event.app), _label(event.ended)).inc()
        if event.seconds is not None:
            self._app(event.app).ran.observe(event.seconds)

    def _sampled(self, event: ResourceSample) -> None:
        if not event.last:
            return
        executor = _label(event.executor)
        for mode, seconds in (("user", event.user), ("system", event.system)):
            if seconds is not None:
                self._cpu.labels(executor, mode).inc(max(0.0, seconds))
        if event.peak is not None:
            self._peak.labels(executor).observe(event.peak)

    def _block_changed(self, event: BlockChanged) -> None:
        executor, key = _label(event.executor), (event.executor, event.block)
        if event.state in BLOCK_ENDED:
            self._block_ends.labels(executor, event.state.value).inc()
            self._blocks.pop(key, None)
        else:
            self._blocks[key] = event.state
        states = Tally(state for (of, _), state in self._blocks.items() if of == event.executor)
        for state in _LIVE_BLOCKS:
            self._block.labels(executor, state.value).set(states[state])

    def _manager_changed(self, event: ManagerChanged) -> None:
        executor, key = _label(event.executor), (event.executor, event.manager)
        if event.state in _LIVE_MANAGERS:
            workers = event.workers or self._managers.get(key, ("", 0))[1]
            self._managers[key] = (event.state, workers)
        else:
            self._manager_ends.labels(executor, _label(event.state)).inc()
            self._managers.pop(key, None)
        here = [kept for (of, _), kept in self._managers.items() if of == event.executor]
        states = Tally(state for state, _ in here)
        for state in _LIVE_MANAGERS:
            self._manager.labels(executor, state).set(states[state])
        working = sum(workers for state, workers in here if state == "working")
        self._workers.labels(executor).set(working)

    def _file_moved(self, event: FileMoved) -> None:
        self._moved.labels(_label(event.executor), _label(event.way)).inc()
        if event.size is not None:
            self._bytes_moved.labels(_label(event.executor), _label(event.way)).inc(event.size)
        self._moving.labels(_label(event.way)).observe(max(0.0, event.seconds))

    def _file_not_moved(self, event: FileNotMoved) -> None:
        self._not_moved.labels(_label(event.executor), _label(event.way)).inc()

    def _noticed(self, event: Notice) -> None:
        self._notices.labels(_label(event.level)).inc()

    # --------------------------------------------------------------------------------------- apps

    def _name_of(self, app: str) -> str:
        return app if app in self._apps or len(self._apps) < self._max_apps else OTHER

    def _app(self, app: str) -> _App:
        name = self._name_of(app)
        found = self._apps.get(name)
        if found is None:
            label = _label(name)
            found = self._apps[name] = _App(
                self._submitted.labels(label),
                {state: self._finished.labels(label, state.label) for state in FINAL},
                self._ran.labels(label),
                self._started.labels(label),
                self._took.labels(label),
            )
        return found


def _label(text: str) -> str:
    """The text as a label: one that can be encoded, and of bounded length."""
    return text[:_LONGEST].encode("utf-8", "replace").decode()


# Each taker takes the class it stands beside, which a mapping cannot say.
_TAKERS: Final[Mapping[type, Callable[[Metrics, Any], None]]] = {
    RunStarted: Metrics._run_started,  # noqa: SLF001 - of this module
    RunEnded: Metrics._run_ended,  # noqa: SLF001
    TaskSubmitted: Metrics._task_submitted,  # noqa: SLF001
    TaskMoved: Metrics._task_moved,  # noqa: SLF001
    TryEnded: Metrics._try_ended,  # noqa: SLF001
    ResourceSample: Metrics._sampled,  # noqa: SLF001
    BlockChanged: Metrics._block_changed,  # noqa: SLF001
    ManagerChanged: Metrics._manager_changed,  # noqa: SLF001
    FileMoved: Metrics._file_moved,  # noqa: SLF001
    FileNotMoved: Metrics._file_not_moved,  # noqa: SLF001
    Notice: Metrics._noticed,  # noqa: SLF001
}
