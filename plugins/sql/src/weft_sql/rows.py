"""From events to rows: what each event adds to which table. Pure, and light.

A :class:`Fold` takes events in the order in which a run was told them, and gives :class:`Rows`:
new rows of tables that are only added to, and rows of tables that say how things stand, in which
``None`` leaves a column as it is. A task that came, ran and ended between two transactions is thus
one row of ``task``, and what is open takes no memory here once it is written.

What is told in short forms, which is nearly all of a large run, stays a tuple of few values: a
:class:`Short`. The database makes the rows of several tables of each, at no cost to the threads
that run tasks.

Classes of events are told apart by name, and fields that an event does not have take what they
mean when left out: what another version of weft tells is taken as far as it goes.
"""

from __future__ import annotations

import json
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from weft.values.events import BEGUN, DONE, TaskMoved, TaskSubmitted, TryEnded, as_data, made
from weft.values.states import FINAL, TaskState
from weft.values.task import split_place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from weft.values.events import Row

    Standing = list[Any]

__all__ = ["Fold", "Rows", "Short", "clean"]

_LABELS: Final = tuple(state.label for state in TaskState)

# The columns of a row of task and of try, as schema.py orders them; a test holds one to the other.
_STATE, _SUBMITTED, _ENDED, _ATTEMPT, _EXECUTOR, _DETAIL, _SEQ = 3, 4, 5, 6, 7, 8, 9
_T_EXECUTOR, _T_WORKER, _T_NODE, _T_STAGING_IN, _T_LAUNCHED = 3, 4, 5, 6, 7
_T_BEGUN, _T_SECONDS, _T_JOINING, _T_STAGING_OUT, _T_ENDED = 8, 9, 10, 11, 12
# After _T_ENDED come outcome, error, delay and seq, which are known together.


def clean(text: str) -> str:
    """The text as every database takes it: without NUL and halves of characters, shown instead."""
    if "\0" in text:
        text = text.replace("\0", "\\x00")
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()


def _some(text: str) -> str | None:
    return clean(text) if text else None


class Short(Enum):
    """What is known of a task in few values, by their names.

    Attributes:
        value: the names.
    """

    BEGUN = ("task", "seq", "time", "app", "executor")
    """It was submitted, which is ``seq``, and launched at once, which is the next."""
    DONE = ("task", "seq", "time", "app", "attempt", "worker", "node", "begun", "seconds")
    """It is done, by the end of a try."""
    WHOLE = (
        "task", "seq", "time", "app", "executor", "done_seq", "done", "worker", "node", "begun",
        "seconds",
    )  # fmt: skip
    """Both, by its first try."""


class Rows:
    """What is to be written in one transaction.

    What is short is to be written in this order: what has begun and what is whole before what
    stands, what is done after it.

    Attributes:
        short: of each kind of what is short, its rows.
        added: for each table that is only added to, its new rows.
        standing: for each table that says how things stand, rows by what follows the run in their
            key.
        events: how many events it is.
    """

    __slots__ = ("added", "events", "short", "standing")

    def __init__(self) -> None:
        self.short: dict[Short, list[Row]] = {}
        self.added: dict[str, list[Row]] = {}
        self.standing: dict[str, dict[Any, Standing]] = {}
        self.events = 0


class Fold:
    """Turns the events of one run into rows.

    Args:
        run: the number of the run in its database.

    Attributes:
        seq: how many events it has taken.
    """

    def __init__(self, run: int) -> None:
        self.seq = 0
        self._run = run
        # One object for all equal texts that come with each task.
        self._names: dict[str, str] = {}
        self._places: dict[str, tuple[str | None, str | None]] = {}
        # When the input files of a task set off, until it is launched: its try has a number then.
        self._staging: dict[int, float] = {}
        # The rows of transfers that go on, by what names them.
        self._moving: dict[tuple[str, str, str], int] = {}
        self._begin()
        self._takers: Mapping[str, Callable[[Any], None]] = {
            "RunStarted": self._run_started,
            "RunEnded": self._run_ended,
            "ExecutorStarted": self._executor_started,
            "ExecutorStopped": self._executor_stopped,
            "BlockChanged": self._block_changed,
            "ManagerChanged": self._manager_changed,
            "FileMoving": self._file_moving,
            "FileMoved": self._file_moved,
            "FileNotMoved": self._file_not_moved,
            "ResourceSample": self._resource_sample,
            "TaskDetails": self._details,
            "LogLine": self._log_line,
            "Notice": self._notice,
        }

    def _begin(self) -> None:
        self._rows = Rows()
        added, standing = self._rows.added, self._rows.standing
        self._states: list[Row] = added.setdefault("state", [])
        self._edges: list[Row] = added.setdefault("edge", [])
        self._tasks: dict[int, Standing] = standing.setdefault("task", {})
        self._tries: dict[tuple[int, int], Standing] = standing.setdefault("try", {})
        # Of what is short: the tasks that have begun, by their numbers.
        self._begun: dict[int, Row] = {}
        self._whole: list[Row] = []
        self._done: list[Row] = []

    def rows(self, told: Iterable[Any]) -> Rows:
        """The rows that these events make, among which there may be rows of events."""
        before = self.seq
        for one in told:
            if type(one) is not tuple:
                self._take(one)
            elif one[0] == BEGUN:
                self._has_begun(one)
            elif one[0] == DONE:
                self._is_done(one)
            else:
                for event in made(one):
                    self._take(event)
        rows = self._rows
        rows.events = self.seq - before
        rows.short = {
            Short.BEGUN: list(self._begun.values()),
            Short.WHOLE: self._whole,
            Short.DONE: self._done,
        }
        self._begin()
        return rows

    def _take(self, event: Any) -> None:
        self.seq += 1
        kind = type(event)
        if kind is TaskMoved:
            self._moved(event)
        elif kind is TaskSubmitted:
            self._submitted(event)
        elif kind is TryEnded:
            self._try_ended(event)
        else:
            taker = self._takers.get(kind.__name__)
            if taker is not None:
                taker(event)

    # ------------------------------------------------------------------------------- what is short

    def _has_begun(self, row: Row) -> None:
        _, time, task, app, executor = row
        seq = self.seq + 1
        self.seq = seq + 1
        names = self._names
        self._begun[task] = (
            task, seq, time, names.get(app) or self._name(app),
            names.get(executor) or self._name(executor),
        )  # fmt: skip

    def _is_done(self, row: Row) -> None:
        _, time, task, app, attempt, place, begun, seconds = row
        if task in self._tasks or not attempt:
            # More was told of it since the last transaction.
            for event in made(row):
                self._take(event)
            return
        seq = self.seq = self.seq + 1
        worker, node = self._places.get(place) or self._place(place)
        if attempt == 1 and (first := self._begun.pop(task, None)) is not None:
            self._whole.append((*first, seq, time, worker, node, begun or None, seconds))
        else:
            name = self._names.get(app) or self._name(app)
            self._done.append((
                task, seq, time, name, attempt, worker, node, begun or None, seconds,
            ))  # fmt: skip

    # --------------------------------------------------------------------------------------- tasks

    def _name(self, text: str) -> str:
        name = self._names.get(text)
        if name is None:
            if len(self._names) > 10_000:  # as of apps that are made one for each task
                self._names.clear()
            name = self._names[text] = clean(text)
        return name

    def _place(self, place: str) -> tuple[str | None, str | None]:
        parts = self._places.get(place)
        if parts is None:
            if len(self._places) > 10_000:
                self._places.clear()
            worker, node = split_place(place)
            parts = self._places[place] = (_some(worker), _some(node))
        return parts

    def _submitted(self, event: TaskSubmitted) -> None:
        run, task, time, seq = self._run, event.id, event.time, self.seq
        self._tasks[task] = [
            run, task, self._name(event.app), "pending", time, None, None, None, None, seq,
        ]  # fmt: skip
        self._states.append((run, task, seq, time, "pending", 0, None, None))
        if event.needs:
            # A task may need another one twice.
            self._edges += [(run, task, needs) for needs in dict.fromkeys(event.needs)]

    def _task(self, task: int, app: str, label: str) -> Standing:
        row = self._tasks.get(task)
        if row is None:
            row = self._tasks[task] = [
                self._run, task, self._name(app), label, None, None, None, None, None, self.seq,
            ]  # fmt: skip
        else:
            row[_STATE] = label
            row[_SEQ] = self.seq
        return row

    def _try(self, task: int, attempt: int) -> Standing:
        row = self._tries.get((task, attempt))
        if row is None:
            row = self._tries[task, attempt] = [
                self._run, task, attempt, None, None, None, None, None, None, None, None, None,
                None, None, None, None, None,
            ]  # fmt: skip
        return row

    def _moved(self, event: TaskMoved) -> None:
        task, state, attempt, time = event.id, event.state, event.attempt, event.time
        if type(state) is not TaskState:  # one that a newer weft has
            return
        label = _LABELS[state]
        row = self._task(task, event.app, label)
        executor = self._name(event.executor) if event.executor else None
        detail = clean(event.detail) if event.detail else None
        self._states.append((self._run, task, self.seq, time, label, attempt, executor, detail))
        if state is TaskState.LAUNCHED:
            row[_ATTEMPT] = attempt
            row[_EXECUTOR] = executor
            tried = self._try(task, attempt)
            tried[_T_EXECUTOR] = executor
            tried[_T_LAUNCHED] = time
            if self._staging:
                tried[_T_STAGING_IN] = self._staging.pop(task, None)
        elif state in FINAL:
            row[_ENDED] = time
            row[_DETAIL] = detail
            self._staging.pop(task, None)
            if attempt:
                self._over(
                    self._try(task, attempt), time, label,
                    None if state is TaskState.DONE else detail, None,
                )  # fmt: skip
        elif state is TaskState.STAGING_IN:
            self._staging[task] = time
        elif state is TaskState.STAGING_OUT:
            if attempt:
                self._try(task, attempt)[_T_STAGING_OUT] = time
        elif state is TaskState.JOINING:
            self._try(task, attempt)[_T_JOINING] = time
        if attempt and (event.place or event.begun):
            self._ran(self._try(task, attempt), event)

    def _over(
        self, tried: Standing, time: float, outcome: str, error: str | None, delay: float | None
    ) -> None:
        """Note how a try ended, once: its task may end later, while it waits for the next one."""
        if tried[_T_ENDED] is None:
            tried[_T_ENDED:] = (time, outcome, error, delay, self.seq)

    def _ran(self, tried: Standing, event: TaskMoved | TryEnded) -> None:
        """Where and when a try ran, as the end of it says."""
        tried[_T_WORKER], tried[_T_NODE] = self._place(event.place)
        tried[_T_BEGUN] = event.begun or None
        tried[_T_SECONDS] = event.seconds

    def _try_ended(self, event: TryEnded) -> None:
        tried = self._try(event.id, event.attempt)
        tried[_T_EXECUTOR] = self._name(event.executor) if event.executor else None
        self._over(tried, event.time, clean(event.ended), clean(event.error), event.delay)
        if event.place or event.begun:
            self._ran(tried, event)

    # ------------------------------------------------------------------------------ runs, executors

    def _add(self, table: str, *values: Any) -> None:
        self._rows.added.setdefault(table, []).append((self._run, *values))

    def _stand(self, table: str, key: tuple[Any, ...], *values: Any) -> None:
        """Say how something stands; ``None`` leaves what was said before in these rows."""
        rows = self._rows.standing.setdefault(table, {})
        before = rows.get(key)
        new = [self._run, *key, *values]
        if before is not None:
            new = [old if one is None else one for old, one in zip(before, new, strict=True)]
        rows[key] = new

    def _happened(self, event: Any) -> None:
        text = json.dumps(as_data(event), default=str)
        self._add("event", self.seq, event.time, type(event).__name__, text)

    def _of_run(
        self,
        *,
        program: str | None = None,
        version: str | None = None,
        started: float | None = None,
        ended: Row = (None,) * 5,
    ) -> None:
        self._stand("run", (), program, version, started, *ended)

    def _run_started(self, event: Any) -> None:
        self._happened(event)
        self._of_run(
            program=clean(event.program), version=clean(event.weft_version), started=event.time
        )

    def _run_ended(self, event: Any) -> None:
        self._happened(event)
        self._of_run(
            ended=(event.time, event.done, event.failed, event.cancelled, event.lost_events)
        )

    def _executor_started(self, event: Any) -> None:
        self._happened(event)
        self._stand("executor", (clean(event.label),), clean(event.plugin), event.time, None)

    def _executor_stopped(self, event: Any) -> None:
        self._happened(event)
        self._stand("executor", (clean(event.label),), None, None, event.time)

    # --------------------------------------------------------------------------- blocks, managers

    def _block_changed(self, event: Any) -> None:
        executor, block = clean(event.executor), clean(event.block)
        job, reason = _some(event.job), clean(event.reason)
        state, how = str(event.state), (event.managers, event.exit_code)
        self._stand("block", (executor, block), job, state, reason, *how, event.time)
        self._add("block_state", self.seq, event.time, executor, block, job, state, reason, *how)

    def _manager_changed(self, event: Any) -> None:
        executor, manager = clean(event.executor), clean(event.manager)
        node, state, reason = _some(event.host), clean(event.state), clean(event.reason)
        self._stand(
            "manager", (executor, manager), _some(event.block), node, state, event.pid or None,
            event.workers or None, _some(event.python), _some(event.packages), reason, event.time,
        )  # fmt: skip
        self._add("manager_state", self.seq, event.time, executor, manager, node, state, reason)

    # --------------------------------------------------------------------------------------- files

    def _transfer(self, event: Any, *values: Any, ends: bool) -> None:
        """Note how a transfer stands, under the number of the first that was told of it."""
        url, way, executor = clean(event.url), clean(event.way), clean(event.executor)
        name = (url, way, executor)
        first = self._moving.pop(name, self.seq) if ends else self._moving.get(name, self.seq)
        if not ends:
            self._moving[name] = first
        attempt, *rest = values
        begun = event.time if first == self.seq else None
        self._stand("transfer", (first,), url, way, executor, attempt, begun, *rest)

    def _file_moving(self, event: Any) -> None:
        values = (None, None, None, event.done, event.total, None, None)
        self._transfer(event, *values, ends=False)

    def _file_moved(self, event: Any) -> None:
        size = getattr(event, "size", None)
        values = (event.attempt, event.time, event.seconds, size, None, None, None)
        self._transfer(event, *values, ends=True)

    def _file_not_moved(self, event: Any) -> None:
        told = (clean(event.error), event.delay)
        self._transfer(event, event.attempt, event.time, None, None, None, *told, ends=True)

    # -------------------------------------------------------------------------- what tasks tell of

    def _resource_sample(self, event: Any) -> None:
        self._add(
            "resource", event.id, event.attempt, self.seq, event.time, _some(event.executor),
            int(event.last), event.user, event.system, event.resident, event.virtual, event.peak,
            event.read, event.written, event.processes, getattr(event, "gpu_memory", None),
        )  # fmt: skip

    def _details(self, event: Any) -> None:
        arguments, result = event.arguments, event.result
        self._add(
            "detail", event.id, self.seq, event.attempt, event.time,
            clean(arguments) if arguments is not None else None,
            clean(result) if result is not None else None, _some(event.traceback),
        )  # fmt: skip

    def _log_line(self, event: Any) -> None:
        self._add(
            "log", event.id, self.seq, event.attempt, event.time, _some(event.executor),
            clean(event.level), _some(event.logger), clean(event.text), event.dropped or None,
        )  # fmt: skip

    def _notice(self, event: Any) -> None:
        self._add(
            "notice", self.seq, event.time, clean(event.level), clean(event.source),
            clean(event.text),
        )  # fmt: skip
