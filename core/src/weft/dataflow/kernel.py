"""The kernel: one thread that owns every task, and performs what the lifecycle says.

    any thread ─── submit ──▶ ┐
    executors ── outcomes ──▶ │ inbox ──▶ weft-kernel: lifecycle.advance ──▶ effects
    foreign futures ────────▶ │                                                 │
    pool weft-work-N ───────▶ ┘               executors, pool, futures ◀────────┘
        answers of memory, stagers,
        handlers and join bodies              weft-delivery: callbacks that users added

The thread takes all that lies in its inbox before it hands tasks on, so that executors get batches;
while it is awake nobody has to wake it. Records and the graph are touched by it alone. ``submit``
runs in the caller's thread up to the inbox: it looks through the arguments, so that a call that
cannot work raises where it stands.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from functools import partial
from heapq import heappop, heappush
from itertools import count
from queue import Empty, SimpleQueue
from random import random
from traceback import format_exception
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from weft.dataflow.arguments import Gathered, fill, gather, hold, leaves, path_of
from weft.dataflow.delivery import Delivery
from weft.dataflow.futures import AppFuture, DataFuture, Extra, Settled
from weft.dataflow.graph import cycle_through, error_of, name_of, number_of, record_of
from weft.dataflow.lanes import Lane
from weft.dataflow.lifecycle import (
    ASKED_TO_CANCEL,
    INPUT_DONE,
    NOT_KNOWN,
    Awaits,
    Costed,
    Effect,
    Event,
    Failed,
    Found,
    InputFailed,
    Returned,
    Signal,
    TaskRecord,
    Todo,
    advance,
    ended,
    submitted,
)
from weft.dataflow.placement import able, least_loaded
from weft.dataflow.rules import Deciders, Keeper, Rules
from weft.dataflow.serializing import SerializersOfRun, Serializing
from weft.dataflow.slots import Slots
from weft.dataflow.staging import Staging
from weft.dataflow.taskfiles import TaskFiles, moves_files, wrapped
from weft.dataflow.views import (
    Group,
    Snapshot,
    brief,
    described,
    first_line,
    inputs_of,
    named,
    say_where,
    view_of,
)
from weft.errors import (
    CallError,
    ExecutorFailed,
    ForeignFuture,
    JoinCycle,
    JoinError,
    JoinTypeError,
    LeftOut,
    SessionClosed,
    TooManyPending,
    WeftError,
)
from weft.monitoring import Monitoring
from weft.pool import ThreadPool
from weft.values.events import (
    BEGUN,
    DONE,
    CallFailed,
    FileMoved,
    FileNotMoved,
    Notice,
    TaskDetails,
    TaskMoved,
    TaskSubmitted,
    TryEnded,
)
from weft.values.states import FINAL, TaskState
from weft.values.task import Ended, Outcome, Task, TaskId, TaskSpec, TaskView
from weft.workers.waiting import Once

if TYPE_CHECKING:
    from weft.dataflow.choice import Chooser
    from weft.dataflow.details import Details
    from weft.dataflow.memo import Claim, Memo, Store

__all__ = ["Kernel"]

_BATCH: Final = 256
"""Inbox items after which launched tasks are handed on even if more items wait."""

_ANSWER: Final = 30.0
"""Seconds within which the kernel's thread answers a question.

It never blocks, so more means that it is gone.
"""

_PENDING, _LAUNCHED, _DONE = TaskState.PENDING, TaskState.LAUNCHED, TaskState.DONE
_CANCELLED = TaskState.CANCELLED
_ATTEMPT = Awaits.ATTEMPT
_NO_KWARGS: Final[Mapping[str, Any]] = {}

_now = time.time


def _alarm() -> None:
    """An item of the inbox that says no more than that a timer is due."""


# One more count beside those of the states: tasks whose value came from memory.
_FROM_MEMORY: Final = len(TaskState)
_COUNTS: Final = _FROM_MEMORY + 1


class Kernel:
    """Owns the tasks of a session.

    Args:
        lanes: the executors, started.
        rules: what the configuration says about all tasks.
        pool: threads for what must not run on the kernel's own.
        monitoring: who is told.
        staging: moves files.
        transfer_pool: threads for that.
        store: values of earlier runs, or ``None``.
        keeper: writes results to the checkpoint; ``None`` when there is none.
        deciders: who decides in place of the rules.
        serializers: opens what apps name to pack their tasks.
    """

    def __init__(
        self,
        *,
        rules: Rules,
        pool: ThreadPool[Callable[[], None]],
        monitoring: Monitoring,
        staging: Staging,
        transfer_pool: ThreadPool[Callable[[], None]],
        store: Store | None = None,
        deciders: Deciders | None = None,
        serializers: SerializersOfRun | None = None,
    ) -> None:
        self._rules, self._pool, self._monitoring = rules, pool, monitoring
        self._tell_row = monitoring.tell_row
        self._store = store
        self._memo: Memo | None = None
        self._deciders = deciders or Deciders()
        self._serializers = Serializing(serializers, pool.put)
        self._keeper: Keeper | None = None
        self._lanes: dict[str, Lane] = {}
        self._all: tuple[Lane, ...] = ()
        self._inbox: SimpleQueue[Any] = SimpleQueue()
        self._post = self._inbox.put
        self._number = count().__next__
        self._slots = Slots(rules.max_pending) if rules.max_pending is not None else None
        self._base_todo = Todo.PRICE if self._deciders.price is not None else 0
        self._limits = rules.limits
        self._chooser: Chooser | None = None
        if rules.only is not None:
            from weft.dataflow.choice import Chooser  # few runs are of chosen tasks alone

            self._chooser = Chooser(rules.only)
            self._number = partial(self._chooser.numbered, self._number)
        self._closing: str = ""
        self._shut = False
        # Set when the thread has said its last words; what comes after that is answered by whoever
        # brings it.
        self._over = False
        self._sweeping = threading.Lock()
        # From here on: touched by the kernel's thread alone.
        self._records: dict[TaskId, TaskRecord] = {}
        self._tallies: dict[str, list[int]] = {}
        self._events: deque[tuple[TaskRecord, Event]] = deque()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._timer_number = count().__next__
        self._idle_waiters: list[Once] = []
        self._failures: dict[tuple[str, str], list[Any]] = {}
        self._dead: WeakSet[AppFuture[Any]] = WeakSet()
        self._delivery: Delivery | None = None
        self._details: Details | None = None
        self._tells_all = rules.values == "all"
        self._watching_keeper = False
        self._files = TaskFiles(
            rules=rules,
            plan=self._deciders.plan,
            staging=staging,
            pool=pool.put,
            transfer_pool=transfer_pool,
            records=self._records,
            happened=self._events.append,
            post=self._post,
            after=self._after,
            tell=self._tell_file,
        )
        performers: dict[Effect, Callable[[TaskRecord], None]] = {
            Effect.RECALL: self._recall,
            Effect.STAGE_IN: self._stage_in,
            Effect.LAUNCH: self._launch,
            Effect.PRICE: self._price,
            Effect.BACK_OFF: self._back_off,
            Effect.JOIN: self._join,
            Effect.GATHER: self._gather,
            Effect.STAGE_OUT: self._files.take,
            Effect.KEEP: self._keep,
            Effect.SETTLE: self._settle,
        }
        self._perform = [
            performers.get(Effect(n), _nothing) if n else _nothing for n in range(len(Effect) + 1)
        ]
        self._thread = threading.Thread(target=self._work, name="weft-kernel", daemon=True)

    # ------------------------------------------------------------------------------ from any thread

    def start(self, lanes: Sequence[Lane], keeper: Keeper | None = None) -> None:
        """Begin. The executors are started already, and may report from now on."""
        self._lanes = {lane.label: lane for lane in lanes}
        self._all = tuple(lanes)
        self._keeper = keeper
        self._thread.start()

    def submit(
        self,
        spec: TaskSpec,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        stdout: Any = None,
        stderr: Any = None,
    ) -> AppFuture[Any]:
        """Take a task; returns its future at once.

        Raises:
            SessionClosed: the session has closed, or is about to.
            TooManyPending: ``max_pending`` tasks are unfinished, and the rules say to raise.
            CallError: the call cannot work: a foreign future, an unknown scheme, executor or
            request.
        """
        if self._closing:
            raise SessionClosed(spec.name, reason=self._closing)
        lanes: Sequence[Lane] = self._all
        asks = (
            spec.executors is not None
            or spec.needs.walltime is not None
            or spec.needs.resources is not None
        )
        if asks and not spec.in_session and not spec.join:
            lanes = able(spec, self._all)  # type: ignore[assignment]
        if spec.serializer is not None:
            # Here, and not when it is launched: so trouble with it is the caller's.
            self._serializers.open(spec.serializer)
        found = gather(args, kwargs, deep=self._rules.deep)
        todo = self._base_todo
        waits_for: Sequence[Future[Any]] = ()
        if found is not None:
            args, kwargs, waits_for = found.args, found.kwargs, found.futures
            todo |= self._look_at(spec, found)
        if spec.join or spec.cache or spec.outputs:
            if spec.join:
                todo |= Todo.JOIN
            if spec.cache and self._rules.memoize and spec.identity is not None:
                todo |= Todo.RECALL
            if spec.outputs:
                self._files.check(spec.outputs)
                todo |= Todo.STAGE_IN | Todo.STAGE_OUT
        if self._slots is not None and not spec.in_session:
            self._take_slot(spec)
        future: AppFuture[Any] = AppFuture(self, self._number(), spec)
        if spec.outputs or stdout is not None or stderr is not None:
            made = tuple(DataFuture(self, future, file) for file in spec.outputs)
            future._extra = Extra(made, stdout, stderr)
        # Most calls have no keywords; their empty dicts need not be held.
        record = TaskRecord(
            future.task_id, spec, args, kwargs or _NO_KWARGS, future, todo, waits_for
        )
        record.lanes = lanes
        future._record = record
        self._post(record)
        if self._over:
            self._sweep()
        return future

    def _look_at(self, spec: TaskSpec, found: Gathered) -> int:
        """What files and futures among the arguments add to the way of a task."""
        for future in found.futures:
            if isinstance(future, Settled) and future._owner is not self:
                raise ForeignFuture(spec.name, name_of(future))
        if found.files:
            self._files.check(found.files)
        if spec.in_session or spec.join:
            return 0
        return (
            Todo.STAGE_IN if found.files or any(type(f) is DataFuture for f in found.futures) else 0
        )

    def _take_slot(self, spec: TaskSpec) -> None:
        assert self._slots is not None
        # A task, a join body or a callback that blocked here could be what the other tasks wait
        # for.
        ours = threading.current_thread().name.startswith("weft-")
        raises = self._rules.raise_when_full
        if not self._slots.take(block=not raises, force=ours and not raises):
            raise TooManyPending(self._rules.max_pending or 0)
        if self._closing:
            raise SessionClosed(spec.name, reason=self._closing)

    def report(self, outcomes: Sequence[Outcome]) -> None:
        """Take outcomes from an executor."""
        self._post(outcomes if type(outcomes) in (list, tuple) else list(outcomes))

    def executor_failed(self, label: str, error: BaseException) -> None:
        """An executor says that it cannot go on."""
        self._post(lambda: self._break(self._lanes[label], error))

    def recorded(self, tickets: Sequence[TaskId]) -> None:
        """Results are on disk, or are known never to be."""
        self._post(lambda: self._kept(tickets))

    def cancel(self, future: AppFuture[Any]) -> bool:
        """Cancel a task; see ``AppFuture.cancel``."""
        record = future._record
        if record is None:
            return future.cancelled()
        if threading.current_thread() is self._thread:
            return self._cancel(record)
        answer: bool | None = self._ask(lambda: self._cancel(record))
        return bool(answer) if answer is not None else future.cancelled()

    def lift(self, future: AppFuture[Any], how: str, key: Any) -> AppFuture[Any]:
        """A future of a part of a result."""
        shown = f"{future.app}[{key!r}]" if how == "item" else f"{future.app}.{key}"
        function = _item if how == "item" else getattr
        if self._closing and future.done():
            return self._lifted(TaskSpec(name=shown, function=function), future, key)
        return self.submit(
            TaskSpec(name=shown, function=function, in_session=True), (future, key), {}
        )

    def _lifted(self, spec: TaskSpec, future: AppFuture[Any], key: Any) -> AppFuture[Any]:
        """A part of a result that is there, of a session that takes no more tasks."""
        part: AppFuture[Any] = AppFuture(self, self._number(), spec)
        try:
            part.settle(spec.function(future.result(), key), None)
        except BaseException as error:  # noqa: BLE001 - the value's own code, or the task's own error
            part.settle(None, error)
        return part

    def deliver(self, future: Settled[Any]) -> None:
        """Run a future's callbacks on the delivery thread."""
        if self._delivery is None:
            self._delivery = Delivery()
        self._delivery.put(future)

    def wait_idle(self, timeout: float | None = None) -> bool:
        """Wait until no task is unfinished. Whether that came in time."""
        idle = Once()
        self._post(lambda: self._tell_idle(idle))
        if self._over:
            self._sweep()
        return idle.wait(timeout)

    @property
    def unmet(self) -> int:
        """How many of the calls that alone are to be executed nobody has made so far."""
        return len(self._chooser.unmet) if self._chooser is not None else 0

    def refuse(self, reason: str) -> None:
        """Take no more tasks from now on; ``reason`` is what callers are told."""
        self._closing = reason
        if self._slots is not None:
            self._slots.open()

    def cancel_waiting(self) -> Mapping[str, int]:
        """Cancel every task that has not begun. Returns what still runs, by app."""
        answer: Mapping[str, int] | None = self._ask(self._cancel_waiting)
        return answer or {}

    def close(self, timeout: float) -> None:
        """End the thread. Tasks that are still unfinished end as cancelled. Twice is allowed."""
        if self._shut:
            return
        self._shut = True
        self._closing = self._closing or "The session was closed."
        if self._thread.ident is not None:
            self._post(None)
            self._thread.join(timeout)
        if self._delivery is not None:
            self._delivery.close(timeout)
        if self._details is not None:
            self._details.close(timeout)

    def snapshot(self) -> Snapshot:
        """How many tasks are where, after all that was submitted before. From any thread."""
        counted: tuple[Mapping[str, Sequence[int]], Sequence[Group]] | None = self._ask(
            self._counted
        )
        tallies, failures = counted if counted is not None else self._counted()
        return Snapshot(
            apps={
                name: {state: tally[state] for state in TaskState}
                for name, tally in tallies.items()
            },
            counts={state: sum(tally[state] for tally in tallies.values()) for state in TaskState},
            from_memory={
                name: tally[_FROM_MEMORY] for name, tally in tallies.items() if tally[_FROM_MEMORY]
            },
            executors={label: lane.status() for label, lane in self._lanes.items()},
            failures=failures,
        )

    def _counted(self) -> tuple[Mapping[str, Sequence[int]], Sequence[Group]]:
        """The counts as they are between two moves, when they add up."""
        tallies = {name: tuple(tally) for name, tally in self._tallies.items()}
        failures = [
            Group(app=app, error=error, count=times, task=task, example=example)
            for (app, error), (times, task, example) in self._failures.items()
        ]
        return tallies, sorted(failures, key=lambda group: -group.count)

    def dead(self) -> Sequence[AppFuture[Any]]:
        """The tasks that have failed or were cancelled, and whose futures somebody still holds."""
        answer: Sequence[AppFuture[Any]] | None = self._ask(lambda: list(self._dead))
        return answer or ()

    def tasks(self) -> Sequence[TaskView]:
        """A view of every unfinished task."""
        answer: Sequence[TaskView] | None = self._ask(
            lambda: [view_of(record) for record in self._records.values()]
        )
        return answer or ()

    def _ask(self, question: Callable[[], Any]) -> Any:
        """What the kernel's thread answers, after all that was posted before, if it can."""
        if self._thread.ident is None or threading.current_thread() is self._thread:
            return question()
        reply: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

        def answer() -> None:
            try:
                reply.put((question(), None))
            except Exception as error:  # noqa: BLE001 - whoever asked is to know, not the kernel
                reply.put((None, error))

        self._post(answer)
        if self._over:
            self._sweep()
        try:
            value, trouble = reply.get(timeout=_ANSWER)
        except Empty:
            return None
        if trouble is not None:
            raise trouble
        return value

    def _sweep(self) -> None:
        """Answer what came after the last words of the kernel's thread, on its bringer's thread."""
        with self._sweeping:
            while True:
                try:
                    item = self._inbox.get_nowait()
                except Empty:
                    break
                if type(item) is TaskRecord:
                    item.future._record = None
                    _settle_all(
                        item.future,
                        None,
                        SessionClosed(item.spec.name, reason=self._closing),
                        cancelled=False,
                    )
                elif callable(item):
                    item()
            self._events.clear()
            self._release_idle()

    # -------------------------------------------------------------------------- the kernel's thread

    def _work(self) -> None:
        going = True
        while going:
            try:
                going = self._round()
            except BaseException as error:  # noqa: BLE001 - a plugin's; everybody's thread goes on
                self._stumbled("what it was told", error)
        self._finish()

    def _round(self) -> bool:
        """Take what lies in the inbox, and hand on what follows. Whether there will be more."""
        get, empty, take = self._inbox.get, self._inbox.empty, self._take
        try:
            item = get(
                timeout=max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
            )
        except Empty:
            item = _alarm
        left = _BATCH
        while item is not None:
            try:
                take(item)
            except BaseException as error:  # noqa: BLE001 - an odd report: one item is lost, no more
                self._stumbled(f"a {type(item).__name__}", error)
            left -= 1
            if left == 0 or empty():
                break
            item = get()
        if self._timers:
            self._ring_timers()
        self._flush()
        self._files.flush()
        if self._idle_waiters and not self._records:
            self._release_idle()
        return item is not None

    def _stumbled(self, over: str, error: BaseException) -> None:
        self._notice("error", f"The kernel could not handle {over}: {brief(error)}")
        self._notice("error", "".join(format_exception(error)))

    def _take(self, item: Any) -> None:
        kind = type(item)
        if kind is TaskRecord:
            self._intake(item)
        elif kind is tuple or kind is list:
            records = self._records
            for outcome in item:
                try:
                    record = records.get(outcome.id)
                    if (
                        record is not None
                        and record.attempt == outcome.attempt
                        and record.awaits is _ATTEMPT
                    ):
                        self._ended(record, outcome)
                except BaseException as error:  # noqa: BLE001 - this is no outcome; the others are
                    self._stumbled(f"an outcome of the type {type(outcome).__name__}", error)
        else:
            item()
        events = self._events
        while events:
            self._step(*events.popleft())

    def _intake(self, record: TaskRecord) -> None:
        self._records[record.id] = record
        name = record.spec.name
        tally = self._tallies.get(name)
        if tally is None:
            tally = self._tallies[name] = [0] * _COUNTS
        record.tally = tally
        tally[0] += 1
        if record.waits_for:
            record.unmet = self._watch(record)
        if self._chooser is not None:
            record.todo |= Todo.RECALL  # where it is decided whether it is executed
        conflict = None
        if record.spec.outputs and not record.spec.join:
            conflict = self._files.claim(record)
        if conflict is None:
            effects = submitted(record)
        else:
            effects = advance(record, Failed(conflict), self._limits)
        if record.state is _LAUNCHED and self._monitoring.begins and not record.waits_for:
            # The way of most tasks, which is told in one: they need no task and no file. On which
            # executor, is decided here.
            tally[_PENDING] -= 1
            tally[_LAUNCHED] += 1
            self._perform_all(record, effects)
            self._tell_row((BEGUN, _now(), record.id, name, record.executor))
            return
        if TaskSubmitted in self._monitoring.wants:
            self._tell_call(record)
        self._moved(record, _PENDING, effects)

    def _tell_call(self, record: TaskRecord) -> None:
        """Tell of a call: what its task needs, and the files that are named in it."""
        needs: tuple[TaskId, ...] = ()
        if record.waits_for:
            numbers = map(number_of, record.waits_for)
            needs = tuple(dict.fromkeys(one for one in numbers if one is not None))
        row = (TaskSubmitted, _now(), record.id, record.spec.name, needs)
        inputs = inputs_of(record) if record.todo & Todo.STAGE_IN else ()
        outputs = tuple([file.url for file in record.spec.outputs])
        self._tell_row((*row, inputs, outputs) if inputs or outputs else row)

    def _watch(self, record: TaskRecord) -> int:
        """Count what a record waits for, and arrange to be told; failed futures are noted."""
        unmet = 0
        for future in record.waits_for:
            other = record_of(future)
            if other is not None:
                if other.dependents is None:
                    other.dependents = []
                other.dependents.append(record)
                unmet += 1
            elif not future.done():
                unmet += 1
                future.add_done_callback(partial(self._foreign_done, record))
            elif error_of(future) is not None:
                if record.failed is None:
                    record.failed = []
                record.failed.append(future)
        return unmet

    def _foreign_done(self, record: TaskRecord, future: Future[Any]) -> None:
        """On whatever thread ended a future from outside."""
        self._post(lambda: self._met(record, future))

    def _met(self, record: TaskRecord, future: Future[Any]) -> None:
        self._events.append(
            (record, INPUT_DONE if error_of(future) is None else InputFailed(future))
        )

    def _ended(self, record: TaskRecord, outcome: Outcome) -> None:
        if record.executor:
            self._lanes[record.executor].in_flight -= 1
        if record.aside is not None and record.aside.errand is not None:
            outcome = self._files.back_from_errand(record, outcome)
        before = record.state
        self._moved(record, before, ended(record, outcome, self._limits))

    def _step(self, record: TaskRecord, event: Event) -> None:
        """One move of one task."""
        before = record.state
        self._moved(record, before, advance(record, event, self._limits))

    def _moved(self, record: TaskRecord, before: TaskState, effects: Sequence[Effect]) -> None:
        """A task may be in another state now: count it, tell of it, and perform what follows."""
        after = record.state
        if after is not before:
            tally = record.tally
            assert tally is not None
            tally[before] -= 1
            tally[after] += 1
            if self._monitoring.moves[after]:
                if after is _LAUNCHED:
                    # On which executor, is decided on the way there.
                    self._perform_all(record, effects)
                    self._tell_move(record, after)
                    return
                self._tell_move(record, after)
        self._perform_all(record, effects)

    def _perform_all(self, record: TaskRecord, effects: Sequence[Effect]) -> None:
        for effect in effects:
            try:
                self._perform[effect](record)
            except BaseException as error:  # noqa: BLE001 - a plugin's or a user's object
                self._could_not(effect, record, error)

    def _could_not(self, effect: Effect, record: TaskRecord, error: BaseException) -> None:
        """An effect raised: the task ends with that, since nobody would answer it."""
        self._stumbled(f"{Effect(effect).name} of {named(record)}", error)
        if effect != Effect.SETTLE:
            self._events.append((record, Failed(error)))
        elif not record.future.done():
            record.future._record = None
            _settle_all(record.future, None, record.error or error, cancelled=False)

    def _flush(self) -> None:
        """Hand on what was launched, and tell of what has ended."""
        self._serializers.flush()
        for lane in self._all:
            if lane.batch:
                batch, lane.batch = lane.batch, []
                try:
                    lane.executor.submit(batch)
                except BaseException as error:  # noqa: BLE001 - a plugin that breaks its contract
                    # It can be trusted with nothing more.
                    self._break(lane, error)
                    self._drain_events()
                    self._flush()  # what follows from that may have been launched elsewhere
                    return

    def _drain_events(self) -> None:
        while self._events:
            self._step(*self._events.popleft())

    def _ring_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heappop(self._timers)[2]()
        self._drain_events()

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        heappush(self._timers, (time.monotonic() + seconds, self._timer_number(), action))

    # -------------------------------------------------------------------------------------- effects

    def _fill(self, record: TaskRecord) -> bool:
        """Put values in the place of futures. Whether that could be done."""
        if not record.waits_for:
            return True
        try:
            record.args, record.kwargs = fill(record.args, record.kwargs, _value_of)
        except Exception as error:  # noqa: BLE001 - containers and keys are a user's objects
            trouble = CallError(
                f"The inputs of {named(record)} cannot be put in their place.",
                why=f"{type(error).__name__}: {error}",
                todo="A result that cannot be hashed, for example, cannot be in a set.",
            )
            trouble.__cause__ = error
            self._events.append((record, Failed(trouble)))
            return False
        record.waits_for = ()
        return True

    def _lane_for(self, record: TaskRecord) -> Lane | None:
        lanes: Sequence[Lane] = record.lanes
        if len(lanes) == 1:
            lane = lanes[0]
        else:
            lanes = [lane for lane in lanes if lane.broken is None] or lanes
            lane = least_loaded(lanes)  # type: ignore[assignment]
            if self._deciders.choose is not None:
                label = self._deciders.choose(view_of(record), [one.label for one in lanes])
                lane = next((one for one in lanes if one.label == label), lane)
        if lane.broken is not None:
            self._events.append((record, Failed(lane.broken)))
            return None
        return lane

    def _launch(self, record: TaskRecord) -> None:
        if record.waits_for and not self._fill(record):
            return
        spec = record.spec
        if spec.join or spec.in_session:
            self._pool.put(lambda: self._run_here(record, record.attempt))
            return
        lane = self._lane_for(record)
        if lane is None:
            return
        record.executor = lane.label
        lane.in_flight += 1
        function, args = spec.function, record.args
        if lane.sandbox is not None or record.aside is not None:
            function, args = wrapped(record, lane.sandbox)
        serializer = lane.serializer
        if serializer is not None or spec.serializer is not None:
            serializer = self._serializers.of(spec, lane)
        lane.batch.append(
            Task(
                record.id,
                record.attempt,
                spec.name,
                function,
                args,
                record.kwargs,
                record.spec.needs,
                serializer,
            )
        )

    def _run_here(self, record: TaskRecord, attempt: int) -> None:
        """In a thread of the pool: a join body, or a small step between tasks."""
        if record.awaits is not Awaits.ATTEMPT or record.attempt != attempt:
            return
        chooser = self._chooser
        try:
            with chooser.within() if chooser is not None and record.spec.join else nullcontext():
                value = record.spec.function(*record.args, **record.kwargs)
        except BaseException as error:  # noqa: BLE001 - whatever it raises, the task failed
            self._post((Outcome(record.id, attempt, Ended.ERROR, error),))
        else:
            self._post((Outcome(record.id, attempt, Ended.VALUE, value),))

    def _recall(self, record: TaskRecord) -> None:
        if self._chooser is not None and self._is_decided(record, self._chooser):
            return
        if not self._fill(record):
            return
        spec, identity, decide = record.spec, record.spec.identity, self._deciders.key
        chosen = self._chooser is not None
        assert identity is not None

        def find_key() -> None:
            try:
                key: bytes | None = None
                if decide is not None:
                    key = decide(
                        Task(
                            record.id,
                            1,
                            spec.name,
                            spec.function,
                            record.args,
                            record.kwargs,
                            spec.needs,
                        )
                    )
                former: Sequence[bytes] = ()
                if chosen:
                    record.beside().call, _ = _names_of(spec, record.args, record.kwargs)
                if key is None:
                    key = identity(record.args, record.kwargs)
                    former = self._former_keys(record)
            except BaseException as error:  # noqa: BLE001 - a hook, and methods of a user's objects
                unknown = error
                self._post(lambda: self._no_identity(record, unknown))
            else:
                self._post(lambda: self._claim(record, key, former))

        self._pool.put(find_key)

    def _no_identity(self, record: TaskRecord, error: BaseException) -> None:
        if self._rules.raise_unknown or not isinstance(error, WeftError):
            self._events.append((record, Failed(error)))
            return
        self._notice(
            "warning", f"{record.spec.name} (task {record.id}) runs without memory. {error.what}"
        )
        self._unanswered(record)

    def _is_decided(self, record: TaskRecord, chooser: Chooser) -> bool:
        """Where only some calls are executed: whether no memory has to be asked about this one."""
        spec, needs = record.spec, map(number_of, record.waits_for)
        if spec.in_session or moves_files(spec):
            chooser.stepped(record.id, needs)
            self._events.append((record, NOT_KNOWN))
            return True
        record.beside().follows = chooser.follows(record.id, needs)
        if spec.cache and self._rules.memoize and spec.identity is not None:
            return False
        self._unanswered(record)
        return True

    def _unanswered(self, record: TaskRecord) -> None:
        """Memory does not answer a call: it is executed, unless only others are."""
        chooser, aside = self._chooser, record.aside
        if chooser is not None and aside is not None:
            spec = record.spec
            if not chooser.admits(record.id, spec.name, aside.call, follows=aside.follows):
                error = LeftOut(named(record), spec.name, cached=spec.cache)
                self._events.append((record, Failed(error)))
                return
        self._events.append((record, NOT_KNOWN))

    def _former_keys(self, record: TaskRecord) -> Sequence[bytes]:
        """Where only some calls are executed: the keys that a call had with former functions."""
        only, spec = self._rules.only, record.spec
        if only is None or spec.identity is None:
            return ()
        return [spec.identity(record.args, record.kwargs, was) for was in only.formerly(spec.name)]

    def _claim(self, record: TaskRecord, key: bytes, former: Sequence[bytes] = ()) -> None:
        if record.awaits is not Awaits.MEMORY:
            return
        if self._memo is None:
            from weft.dataflow.memo import Memo

            self._memo = Memo(self._store)
        aside = record.beside()
        if former and key not in self._memo:
            was = next((one for one in former if one in self._memo), None)
            key, aside.former = was or key, was is not None
        aside.key = key
        if self._chooser is not None:
            self._chooser.met(aside.call)
        self._claimed(record, self._memo.claim(key, record.id))

    def _claimed(self, record: TaskRecord, claim: Claim) -> None:
        from weft.dataflow.memo import Follow, Hit, Stored

        if type(claim) is Hit:
            self._events.append((record, Found(claim.value)))
        elif type(claim) is Follow:
            record.beside().leader = self._records.get(claim.leader)
            cycle = cycle_through(record)
            if cycle is not None:
                self._events.append((record, Failed(_cycle_error(record, cycle))))
        elif type(claim) is Stored:
            reader = claim.reader
            self._pool.put(lambda: self._read(record, reader))
        else:
            self._lead(record)

    def _lead(self, record: TaskRecord) -> None:
        aside = record.beside()
        aside.leader = None
        if self._keeper is not None and not aside.former:
            record.todo |= Todo.KEEP
        self._unanswered(record)

    def _read(self, record: TaskRecord, reader: Callable[[], Any]) -> None:
        """In a thread of the pool: a value from disk."""
        found = reader()

        def tell() -> None:
            if found is None:
                self._lead(record)
            else:
                record.beside().kept = found.outputs
                self._events.append((record, Found(found.value)))

        self._post(tell)

    def _stage_in(self, record: TaskRecord) -> None:
        if not self._fill(record):
            return
        lane = self._lane_for(record)
        if lane is None:
            return
        record.executor = lane.label
        record.lanes = (lane,)
        self._files.bring(record)

    def _price(self, record: TaskRecord) -> None:
        price, error, seen = self._deciders.price, record.error, view_of(record)
        assert price is not None
        assert error is not None

        def ask() -> None:
            answer: Event
            try:
                cost = price(seen, error)
                answer = Costed(1.0 if cost is None else float(cost))
            except BaseException as trouble:  # noqa: BLE001 - the handler is a user's
                # Its own error takes the place of the task's, and no more tries are made.
                answer = Failed(trouble)
            self._post(lambda: self._events.append((record, answer)))

        self._pool.put(ask)

    def _back_off(self, record: TaskRecord) -> None:
        history = record.history
        assert history is not None
        last = history.tries[-1]
        delay = 0.0
        if last.charged or last.ended is Ended.ERROR:
            failures = sum(1 for one in history.tries if one.ended is Ended.ERROR)
            delay = self._rules.backoff.wait(failures, random())
        if TryEnded in self._monitoring.wants:
            self._tell_retry(record, delay)
        if delay <= 0:
            self._events.append((record, Signal.RETRY_DUE))
        else:
            attempt = record.attempt
            self._after(delay, lambda: self._retry_due(record, attempt))

    def _retry_due(self, record: TaskRecord, attempt: int) -> None:
        if record.attempt == attempt:
            self._events.append((record, Signal.RETRY_DUE))

    def _join(self, record: TaskRecord) -> None:
        try:
            # As it is now: what the body's own code does to its containers later changes nothing.
            record.value = held = hold(record.value)
            found: list[Future[Any]] = []
            for way, leaf in leaves(held):
                if not isinstance(leaf, Future):
                    raise JoinTypeError(named(record), path_of(way, "the result"), described(leaf))
                if isinstance(leaf, Settled) and leaf._owner is not self:
                    raise ForeignFuture(record.spec.name, name_of(leaf))
                found.append(leaf)
        except WeftError as error:
            self._events.append((record, Failed(error)))
            return
        record.failed = None
        record.waits_for = found
        cycle = cycle_through(record)
        if cycle is not None:
            self._events.append((record, Failed(_cycle_error(record, cycle))))
            return
        record.unmet = self._watch(record)
        if not record.unmet:
            self._gather(record)

    def _gather(self, record: TaskRecord) -> None:
        """All that a join waits for has ended."""
        bad = [
            (way, leaf, error)
            for way, leaf in leaves(record.value)
            if (error := error_of(leaf)) is not None
        ]
        if bad:
            way, future, error = bad[0]
            trouble = JoinError(
                named(record), path_of(way, "the result"), name_of(future), error, len(bad) - 1
            )
            trouble.__cause__ = error
            self._events.append((record, Failed(trouble)))
        else:
            (value,), _ = fill((record.value,), {}, _value_of)
            self._events.append((record, Returned(value)))

    def _keep(self, record: TaskRecord) -> None:
        ticket, key = record.id, record.beside().key
        assert self._keeper is not None
        assert key is not None
        try:
            self._keeper.keep(ticket, key, record.value, record.spec.outputs)
        except Exception as error:  # noqa: BLE001 - what is not kept is computed again, no more
            self._notice("warning", f"The result of {named(record)} was not kept: {brief(error)}")
            self._events.append((record, Signal.DONE_WITH_IT))
            return
        # A disk that hangs must not decide it either. By the ticket alone: the value is not to be
        # held that long.
        self._after(self._rules.keep_timeout, lambda: self._kept((ticket,)))

    def _kept(self, tickets: Sequence[TaskId]) -> None:
        for ticket in tickets:
            record = self._records.get(ticket)
            if record is not None and record.awaits is Awaits.KEPT:
                self._events.append((record, Signal.DONE_WITH_IT))

    def _settle(self, record: TaskRecord) -> None:
        """The record is final: tell everybody, and forget it."""
        del self._records[record.id]
        if record.aside is not None or record.spec.outputs:
            self._files.let_go(record)
        future, state, error = record.future, record.state, record.error
        tally = record.tally
        if state is not _DONE:
            if state is _CANCELLED:
                error = None
            else:
                self._note_failure(record)
                if record.aside is not None and record.aside.key is not None:
                    self._name_call(record)
            self._keep_call(record)
        else:
            error = None
            if future._memory and tally is not None:
                tally[_FROM_MEMORY] += 1
        future.remember(record)
        future._record = None
        if record.aside is not None and record.aside.key is not None:
            self._remember(record, record.aside.key, record.aside.kept)
        value = record.value if state is _DONE else None
        _settle_all(future, value, error, cancelled=state is _CANCELLED)
        dependents = record.dependents
        if dependents is not None:
            record.dependents = None
            events = self._events
            if state is _DONE:
                for dependent in dependents:
                    events.append((dependent, INPUT_DONE))
            else:
                failed = InputFailed(future)
                for dependent in dependents:
                    events.append((dependent, failed))
        if self._slots is not None or self._serializers.run.told:
            self._leave(record)

    def _leave(self, record: TaskRecord) -> None:
        """Tell those that count unfinished tasks, or keep something for them."""
        if self._slots is not None and not record.spec.in_session:
            self._slots.give()
        if self._serializers.run.told:
            self._serializers.ended(record.id)

    def _remember(self, record: TaskRecord, key: bytes, kept: Sequence[Any]) -> None:
        state, memo = record.state, self._memo
        assert memo is not None
        if state is _DONE:
            followers = memo.finished(key, record.id, record.value, kept)
            ends: Event = Found(record.value)
        elif state is TaskState.FAILED:
            followers = memo.failed(key, record.id)
            assert record.error is not None
            ends = Failed(record.error)
        else:
            promoted = memo.cancelled(key, record.id)
            heir = self._records.get(promoted.task) if promoted is not None else None
            if promoted is not None and heir is not None:
                # Whoever looks for cycles must see that the others wait for the heir now.
                for waiting in self._records.values():
                    if waiting.aside is not None and waiting.aside.leader is record:
                        waiting.aside.leader = heir
                self._claimed(heir, promoted.claim)
            return
        for follower in followers:
            other = self._records.get(follower)
            if other is not None:
                self._events.append((other, ends))

    def _keep_call(self, record: TaskRecord) -> None:
        """A task has failed: its future remembers how it was called, so that it can be retried."""
        if self._closing or moves_files(record.spec):
            return
        asked = record.aside.asked if record.aside is not None else None
        args, kwargs = asked or (record.args, record.kwargs)
        inner = tuple(record.failed or ()) if record.spec.join and record.attempt else ()
        future = record.future
        if future._extra is None:
            future._extra = Extra()
        from weft.dataflow.retrying import Call  # only where something has failed

        future._extra.call = Call(args, kwargs, inner)
        self._dead.add(future)

    def _note_failure(self, record: TaskRecord) -> None:
        error = record.error
        if moves_files(record.spec):
            return  # a step of moving a file: the task that needs the file fails, if any
        kind = (record.spec.name, type(error).__name__)
        group = self._failures.get(kind)
        if group is None:
            group = self._failures[kind] = [0, record.id, first_line(error)]
        group[0] += 1
        if error is not None and not isinstance(error, WeftError) and record.executor:
            say_where(error, record)

    def _name_call(self, record: TaskRecord) -> None:
        """Tell what a call that failed is called in other runs; found out off this thread."""
        spec, aside = record.spec, record.aside
        if CallFailed not in self._monitoring.wants or aside is None:
            return
        args, kwargs = aside.asked or (record.args, record.kwargs)
        task, known = record.id, aside.call

        def tell() -> None:
            call, function = _names_of(spec, args, kwargs)
            if call:
                told = CallFailed(time.time(), task, spec.name, known or call, function)
                self._monitoring.tell(told)

        self._pool.put(tell)

    # ------------------------------------------------------------------------------ what others ask

    def _cancel(self, record: TaskRecord) -> bool:
        if record.awaits is Awaits.NOTHING:
            return record.state is TaskState.CANCELLED
        if record.awaits is Awaits.ATTEMPT and not record.spec.join and not record.spec.in_session:
            self._flush()
            lane = self._lanes.get(record.executor)
            if lane is not None and record.awaits is Awaits.ATTEMPT:
                try:
                    stopped = record.id in lane.executor.cancel((record.id,))
                except Exception as error:  # noqa: BLE001 - a plugin's code
                    self._notice(
                        "error",
                        f"The executor {lane.label!r} could not be asked to cancel: {brief(error)}",
                    )
                    stopped = False
                if not stopped:
                    return False
                lane.in_flight -= 1
        self._events.append((record, ASKED_TO_CANCEL))
        self._drain_events()
        return record.state is _CANCELLED

    def _cancel_waiting(self) -> Mapping[str, int]:
        self._flush()
        launched: dict[str, list[TaskId]] = {}
        for record in list(self._records.values()):
            if record.awaits is Awaits.ATTEMPT:
                launched.setdefault(record.executor, []).append(record.id)
            else:
                self._events.append((record, ASKED_TO_CANCEL))
        running: dict[str, int] = {}
        for label, ids in launched.items():
            lane = self._lanes.get(label)
            dropped = self._dropped(lane, ids) if lane is not None else ()
            for one in ids:
                record = self._records[one]
                if one in dropped:
                    self._lanes[label].in_flight -= 1
                    self._events.append((record, ASKED_TO_CANCEL))
                else:
                    running[record.spec.name] = running.get(record.spec.name, 0) + 1
        self._drain_events()
        return running

    def _dropped(self, lane: Lane, ids: Sequence[TaskId]) -> Collection[TaskId]:
        try:
            dropped = set(lane.executor.drop(ids)).intersection(ids)
        except Exception as error:  # noqa: BLE001 - a plugin's code
            self._notice(
                "error",
                f"The executor {lane.label!r} could not be asked to drop tasks: {brief(error)}",
            )
            return ()
        lane.in_flight -= len(dropped)
        return dropped

    def _break(self, lane: Lane, error: BaseException) -> None:
        if lane.broken is not None:
            return
        if not isinstance(error, WeftError):
            told = ExecutorFailed(lane.label, brief(error))
            told.__cause__ = error
            error = told
        lane.broken, lane.batch = error, []
        self._notice("error", str(error))
        for record in list(self._records.values()):
            if record.awaits is Awaits.ATTEMPT and record.executor == lane.label:
                self._events.append((record, Failed(error)))

    def _tell_idle(self, idle: Once) -> None:
        self._idle_waiters.append(idle)

    def _release_idle(self) -> None:
        for idle in self._idle_waiters:
            idle.happen()
        self._idle_waiters.clear()

    def _finish(self) -> None:
        """The last words: nobody is left waiting for a future that nobody will settle."""
        while True:
            for record in list(self._records.values()):
                if record.awaits is Awaits.ATTEMPT and record.executor:
                    gone: Event = Failed(
                        SessionClosed(record.spec.name, reason="The session closed while it ran.")
                    )
                else:
                    gone = ASKED_TO_CANCEL
                self._events.append((record, gone))
            self._drain_events()
            for lane in self._all:
                lane.batch = []
            try:
                item = self._inbox.get_nowait()
            except Empty:
                if not self._records:
                    break
                continue
            if item is not None:
                self._take(item)
        self._over = True
        self._sweep()

    # -------------------------------------------------------------------------------------- telling

    def _notice(self, level: str, text: str) -> None:
        self._monitoring.tell(Notice(time.time(), level, "kernel", text))

    def _tell_file(self, event: FileMoved | FileNotMoved) -> None:
        if type(event) in self._monitoring.wants:
            self._monitoring.tell(event)

    def _tell_move(self, record: TaskRecord, state: TaskState) -> None:
        # Rows, and the short form where there is one: this is done for every task.
        ran, attempt, name = record.ran, record.attempt, record.spec.name
        if ran is not None and ran.attempt != attempt:
            ran = None
        if ran is not None and state is _DONE:
            self._tell_row(
                (DONE, _now(), record.id, name, attempt, ran.place, ran.begun, ran.seconds)
            )
            if self._tells_all:
                self._tell_details(record, None)
            return
        detail = ""
        if state in FINAL:
            if record.error is not None and state is TaskState.FAILED:
                detail = brief(record.error)
            elif record.future._memory:
                detail = "memory"
        executor = record.executor if state is _LAUNCHED else ""
        row = (TaskMoved, _now(), record.id, name, state, attempt, executor, detail)
        self._tell_row(row if ran is None else (*row, ran.place, ran.begun, ran.seconds))
        if state is _DONE:
            if self._tells_all:
                self._tell_details(record, None)
        elif record.error is not None and (state is TaskState.FAILED or state is _PENDING):
            self._tell_details(record, record.error)

    def _tell_details(self, record: TaskRecord, error: BaseException | None) -> None:
        """Tell of a try that has failed, or of a task that ended well, what a person would ask."""
        if TaskDetails not in self._monitoring.wants:
            return
        if self._details is None:
            from weft.dataflow.details import Details  # only where there is something to tell

            self._details = Details(self._monitoring.tell, self._rules.values)
        if error is not None:
            self._details.failed(record, error)
        else:
            self._details.done(record)

    def _tell_retry(self, record: TaskRecord, delay: float) -> None:
        outcome = record.ran
        assert outcome is not None
        error = brief(record.error) if record.error is not None else ""
        self._monitoring.tell(
            TryEnded(
                time.time(),
                record.id,
                record.spec.name,
                outcome.attempt,
                record.executor,
                outcome.ended.value,
                error,
                delay,
                outcome.place,
                outcome.begun,
                outcome.seconds,
            )
        )


def _settle_all(
    future: AppFuture[Any], value: Any, error: BaseException | None, *, cancelled: bool
) -> None:
    """Give a task's futures their end, those of its files too."""
    future.settle(value, error, cancelled=cancelled)
    if future._extra is not None:
        good = error is None and not cancelled
        for made in future._extra.outputs:
            made.settle(made.file if good else None, error, cancelled=cancelled)


def _names_of(spec: TaskSpec, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[str, str]:
    """What a call and its function are called in other runs; empty if that cannot be told."""
    if spec.call_names is None:
        return "", ""
    try:
        return spec.call_names(spec.name, args, kwargs)
    except BaseException:  # noqa: BLE001 - a user's objects, of which a hook alone has made a key
        return "", ""


def _nothing(record: TaskRecord) -> None:
    raise AssertionError(f"task {record.id} has an effect that nobody performs")


def _value_of(future: Future[Any]) -> Any:
    return future._result if isinstance(future, Settled) else future.result(timeout=0)


def _item(value: Any, key: Any) -> Any:
    return value[key]


def _cycle_error(record: TaskRecord, cycle: Sequence[TaskRecord]) -> JoinCycle:
    return JoinCycle(
        f"{record.spec.name} (task {record.id})",
        [f"{one.spec.name} (task {one.id})" for one in cycle],
    )
