"""Tells every monitor what happens; never blocks who tells, and counts what it could not pass on.

One thread, ``weft-monitor``, makes every call to a monitor after its start. Others leave events in
a bounded queue and go on. The thread sleeps without a timer while nothing happens; after the first
event it gathers for a moment, so that monitors get batches.

    any thread ──tell──▶ [bounded queue] ──batches──▶ weft-monitor ──handle──▶ monitor
                              │ full                       ├─────────handle──▶ monitor
                              └──▶ counted,                └───────────call──▶ observer
                                   told in RunEnded

Nothing that a monitor does is seen by a task: what it raises is reported once and counted, and
after three failures in a row it is told no more.
"""

import contextlib
import itertools
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Collection, Sequence
from operator import itemgetter
from queue import Empty, SimpleQueue
from typing import Any, Final, get_args

import attrs

from weft.errors import WeftError, WeftWarning
from weft.interfaces.context import Context
from weft.interfaces.monitor import Interest, Monitor
from weft.values.events import (
    BEGUN,
    SHORT_FORMS,
    Event,
    LogLine,
    Notice,
    ResourceSample,
    Row,
    RunEnded,
    TaskDetails,
    TaskMoved,
    TaskSubmitted,
    TryEnded,
    events_in,
    made,
)
from weft.values.states import TaskState

__all__ = ["BATCH", "INTERVAL", "LIMIT", "Monitoring"]

Kind = type[Any] | str
"""The class of an event, or the name of a short form."""

LIMIT: Final = 65536
"""Events that may wait for monitors; more are dropped and counted."""
BATCH: Final = 512
"""Events handed over at once, at most."""
INTERVAL: Final = 0.05
"""Seconds for which events are gathered before they are handed over."""

_DETAILED: Final = (TaskState.PENDING, TaskState.DONE, TaskState.FAILED)

_RESERVE: Final = 1024
_FAILURES_IN_A_ROW: Final = 3
_MANY: Final = (TaskMoved, TaskSubmitted, TryEnded, TaskDetails, LogLine, ResourceSample)

_FIRST: Final = itemgetter(0)

_ALL_EVENTS: Final[frozenset[type[Event]]] = frozenset(get_args(Event))
_EVERYTHING: Final[frozenset[Interest]] = frozenset({*_ALL_EVENTS, *TaskState})


def _warn(text: str) -> None:
    warnings.warn(text, WeftWarning, stacklevel=2)


@attrs.define(eq=False)
class _Listener:
    """A monitor or an observer, and how it fared. Changed by ``weft-monitor`` once that runs."""

    name: str
    handle: Callable[[Sequence[Event]], None]
    close: Callable[[], None] | None
    wants: frozenset[Interest] | None
    rows: bool = False
    failures: int = 0
    in_a_row: int = 0
    on: bool = True

    def wanted(self, events: list[Any], kinds: Collection[Kind]) -> Sequence[Any]:
        """Those of the events that it asked for, in a list of its own.

        Args:
            events: and rows, as they were told.
            kinds: which there are among them.
        """
        if self.rows:
            return events
        wants = self.wants
        if wants is None:
            return [event for told in events for event in made(told)]
        # In a busy run most batches have nothing that a monitor with few interests wants.
        if not any(_may_be_in(kind, wants) for kind in kinds):
            return []
        return [
            event
            for told in events
            if _may_be_in(told[0] if type(told) is tuple else type(told), wants)
            for event in made(told)
            if (event.state if type(event) is TaskMoved else type(event)) in wants
        ]


def _may_be_in(kind: Kind, wants: frozenset[Interest]) -> bool:
    """Whether something told may come to events that are wanted, by what it is."""
    if isinstance(kind, str):
        return not SHORT_FORMS[kind].interests.isdisjoint(wants)
    return kind in wants


def _kinds_of(events: Sequence[Any]) -> Collection[Kind]:
    """What kinds there are among what was told."""
    kinds: set[Kind] = set(map(type, events))
    if tuple in kinds:
        kinds.remove(tuple)
        rows = events if not kinds else [told for told in events if type(told) is tuple]
        kinds.update(map(_FIRST, rows))
    return kinds


def _normal(interests: Collection[Interest] | None) -> frozenset[Interest] | None:
    """The interests with every move spelt out as its state."""
    if interests is None:
        return None
    wants: frozenset[Interest] = frozenset(interests)
    if TaskMoved in wants:
        return wants | frozenset(TaskState)
    if any(isinstance(want, TaskState) for want in wants):
        return wants | {TaskMoved}
    return wants


class Monitoring:
    """What the rest of weft tells, and what tells the monitors.

    *Life.* ``attach`` and ``observe`` for each listener, ``start``, any number of ``tell`` from any
    thread, ``close``, which may be called twice. Telling before ``start`` and after ``close`` is
    allowed and has no effect.

    Whoever makes events looks first whether anybody wants them:

        if monitoring.moves[state]:
            monitoring.tell(TaskMoved(...))
        if TaskSubmitted in monitoring.wants:
            monitoring.tell(TaskSubmitted(...))

    Args:
        observers: callables that are told everything, in batches.
        report: gets one sentence for the person who watches, when a monitor fails or events were
            lost; a ``WeftWarning`` when left out.
        limit: events that may wait; more are dropped and counted.
        batch: events handed over at once, at most.
        interval: seconds for which events are gathered.

    Attributes:
        active: whether anybody listens.
        wants: the classes of events, and the states moved into, that somebody wants to be told.
        moves: for each ``TaskState``, by its number, whether somebody wants to be told of moves
            into it, or of what is told with those.
        begins: whether somebody wants to be told of calls, and somebody of moves to ``launched``,
            so that both may be told in one, in the short form ``BEGUN``.
    """

    def __init__(
        self,
        observers: Sequence[Callable[[Sequence[Event]], None]] = (),
        *,
        report: Callable[[str], None] | None = None,
        limit: int = LIMIT,
        batch: int = BATCH,
        interval: float = INTERVAL,
    ) -> None:
        self.active = False
        self.wants: frozenset[Interest] = frozenset()
        self.moves: tuple[bool, ...] = (False,) * len(TaskState)
        self.begins = False
        self._report_to = report or _warn
        self._limit, self._batch, self._interval = limit, batch, interval
        self._listeners: list[_Listener] = []
        self._thread: threading.Thread | None = None
        self._closed = False
        self._closing = False
        self._deadline = 0.0
        self._busy_with = ""
        # The queue is a deque for its speed: append and popleft are atomic, and nobody waits on it.
        # The bell is rung when it grows longer than _ring_above: 0 while the thread sleeps, a batch
        # while it gathers, the limit while it is busy anyway.
        self._queue: deque[Event | Row] = deque()
        self._kept: deque[Event] = deque()
        self._ring_above = limit
        self._bell: SimpleQueue[None] = SimpleQueue()
        # next() on a counter is atomic where += is not. It is read by one more next(), which is
        # then taken off.
        self._drops = itertools.count()
        self._reads = 0
        self._reading = threading.Lock()
        for observer in observers:
            self.observe(observer)

    # --------------------------------------------------------------------------------------- before

    def attach(self, name: str, monitor: Monitor, context: Context) -> None:
        """Start a monitor and count it among the listeners. Before ``start``.

        Raises:
            WeftError: the monitor cannot record anything; it is closed, and not among the
                listeners.
        """
        self._check_open()
        try:
            monitor.start(context)
            interests = monitor.interests()
            rows = interests is None and monitor.takes_rows()
        except BaseException as error:
            self._end(_Listener(name, monitor.handle, monitor.close, frozenset()))
            if isinstance(error, WeftError) or not isinstance(error, Exception):
                raise
            raise WeftError(
                f"The monitor {name!r} did not start.",
                why=f"{type(error).__name__}: {error}",
                todo="Mend its settings, or leave it out of Config(monitors=[...]).",
            ) from error
        self._listeners.append(
            _Listener(name, monitor.handle, monitor.close, _normal(interests), rows)
        )

    def observe(
        self,
        observer: Callable[[Sequence[Event]], None],
        *,
        interests: Collection[Interest] | None = None,
        name: str = "",
    ) -> None:
        """Count a callable among the listeners. Before ``start``.

        Args:
            observer: called in the thread of the monitors with each batch.
            interests: what it wants to be told, as ``Monitor.interests`` says; everything when left
                out.
            name: for people.
        """
        self._check_open()
        called = name or getattr(observer, "__qualname__", "") or repr(observer)
        self._listeners.append(_Listener(called, observer, None, _normal(interests)))

    def record(
        self, name: str, write: Callable[[Sequence[Any]], None], close: Callable[[], None]
    ) -> None:
        """Count among the listeners one that writes down everything. Before ``start``.

        Args:
            name: for people.
            write: called in the thread of the monitors with each batch, in which there are rows
                beside events; it is not to change that list.
            close: called at the end, once.
        """
        self._check_open()
        self._listeners.append(_Listener(name, write, close, None, rows=True))

    def _check_open(self) -> None:
        if self._thread is not None or self._closed:
            raise RuntimeError("listeners are added before the monitoring starts")

    def start(self) -> None:
        """Begin to pass events on. Without listeners this starts no thread."""
        self._check_open()
        self._count_wants()
        if not self._listeners:
            return
        self._thread = threading.Thread(target=self._run, name="weft-monitor", daemon=True)
        self._thread.start()

    def _count_wants(self) -> None:
        on = [listener for listener in self._listeners if listener.on]
        if any(listener.wants is None for listener in on):
            self.wants = _EVERYTHING
        else:
            self.wants = frozenset().union(*(listener.wants or () for listener in on))
        # Whoever tells of these moves tells with it with what their tasks were called.
        details = TaskDetails in self.wants
        self.moves = tuple(
            state in self.wants or (details and state in _DETAILED) for state in TaskState
        )
        self.begins = self.wants >= SHORT_FORMS[BEGUN].interests
        self.active = bool(self.wants)

    # -------------------------------------------------------------------------------------- telling

    def tell(self, event: Event) -> None:
        """Leave an event for the monitors. Never blocks, never raises; from any thread."""
        if type(event) not in self.wants:
            return
        queue = self._queue
        queue.append(event)
        if len(queue) > self._ring_above:
            self._attend()

    def tell_row(self, row: Row) -> None:
        """Leave an event that is made only if a monitor wants it made; as ``tell`` else.

        For those who have looked whether anybody wants it, in ``wants`` or ``moves``.
        """
        queue = self._queue
        queue.append(row)
        if len(queue) > self._ring_above:
            self._attend()

    def _attend(self) -> None:
        """Wake the thread, or drop the newest event when there are too many."""
        queue = self._queue
        if len(queue) > self._limit:
            try:
                dropped = queue.pop()
            except IndexError:  # the thread was quicker
                return
            # The few events that are not about one task are worth a place of their own.
            if (
                not isinstance(dropped, tuple)
                and type(dropped) not in _MANY
                and len(self._kept) < _RESERVE
            ):
                self._kept.append(dropped)
            else:
                self._drop(dropped)
            return
        # First say that the bell is rung, then ring: the thread sets its own wish after it has
        # heard.
        self._ring_above = self._limit
        self._bell.put(None)

    def _drop(self, told: Event | Row) -> None:
        """Count what nobody will be told."""
        for _ in range(events_in(told)):
            next(self._drops)

    @property
    def lost(self) -> int:
        """How many events were dropped so far."""
        with self._reading:
            self._reads += 1
            return next(self._drops) - self._reads + 1

    @property
    def failures(self) -> dict[str, int]:
        """How often each listener failed, for those that did."""
        return {one.name: one.failures for one in self._listeners if one.failures}

    # -------------------------------------------------------------------------- thread weft-monitor

    def _run(self) -> None:
        while not self._closing:
            self._sleep()
            self._gather()
            self._pass_on()
        while (self._queue or self._kept) and time.monotonic() < self._deadline:
            self._pass_on()
        for told in (*self._queue, *self._kept):
            self._drop(told)
        for listener in self._listeners:
            self._end(listener)

    def _sleep(self) -> None:
        """Wait, for as long as it takes, until there is something to do."""
        self._ring_above = 0
        if not self._queue and not self._kept and not self._closing:
            self._bell.get()

    def _gather(self) -> None:
        """Wait until a batch is full or its time is up."""
        until = time.monotonic() + self._interval
        self._ring_above = self._batch - 1
        while len(self._queue) < self._batch and not self._closing:
            try:
                self._bell.get(timeout=max(0.0, until - time.monotonic()))
            except Empty:
                break
            self._ring_above = self._batch - 1
        self._ring_above = self._limit

    def _pass_on(self) -> None:
        """Hand over all that waits now, in batches."""
        for _ in range(-(-max(1, len(self._queue)) // self._batch)):
            events = self._taken()
            if not events:
                return
            kinds = _kinds_of(events)
            for listener in self._listeners:
                if listener.on:
                    self._hand_over(listener, events, kinds)
            if self._closing and time.monotonic() >= self._deadline:
                return

    def _taken(self) -> list[Any]:
        queue = self._queue
        events: list[Any] = []
        # Those that tell take from the other end when it is full, so it may end early: what was
        # taken by then is in the list.
        with contextlib.suppress(IndexError):
            events.extend(itertools.starmap(queue.popleft, itertools.repeat((), self._batch)))
        if self._kept:
            while self._kept:
                events.append(self._kept.popleft())
            events.sort(key=_time_of)
        lost = self.lost
        if lost:
            events = [
                _counted(event, lost) if type(event) is RunEnded else event for event in events
            ]
        return events

    def _hand_over(self, listener: _Listener, events: list[Any], kinds: Collection[Kind]) -> None:
        wanted = listener.wanted(events, kinds)
        if not wanted:
            return
        self._busy_with = listener.name
        try:
            listener.handle(wanted)
        except BaseException as error:  # noqa: BLE001 - a monitor may raise anything
            self._failed(listener, error)
        else:
            listener.in_a_row = 0
        finally:
            self._busy_with = ""

    def _failed(self, listener: _Listener, error: BaseException) -> None:
        listener.failures += 1
        listener.in_a_row += 1
        said = f"{type(error).__name__}: {_text(error)}"
        if listener.failures == 1:
            self._say(f"The monitor {listener.name!r} failed; the run goes on. Why: {said}")
        if listener.in_a_row == _FAILURES_IN_A_ROW:
            listener.on = False
            self._count_wants()
            self._say(
                f"The monitor {listener.name!r} failed {_FAILURES_IN_A_ROW} times in a row and "
                "is told no more. "
                f"Why: {said}"
            )

    def _end(self, listener: _Listener) -> None:
        if listener.close is None:
            return
        self._busy_with = listener.name
        try:
            listener.close()
        except BaseException as error:  # noqa: BLE001 - as above
            listener.failures += 1
            said = f"{type(error).__name__}: {_text(error)}"
            self._report(f"The monitor {listener.name!r} failed while it closed. Why: {said}")
        finally:
            self._busy_with = ""

    def _say(self, text: str) -> None:
        """To the person who watches, and to the monitors that still listen."""
        self._report(text)
        self.tell(Notice(time.time(), "warning", "monitoring", text))

    def _report(self, text: str) -> None:
        # Warnings may be errors here, and there is nobody left to tell.
        with contextlib.suppress(Exception):
            self._report_to(text)

    # --------------------------------------------------------------------------------------- ending

    def close(self, timeout: float = 5.0) -> None:
        """Pass on what waits, close the monitors, end the thread, within ``timeout`` seconds."""
        if self._closed:
            return
        self._closed = True
        thread = self._thread
        if thread is None:
            for listener in self._listeners:
                self._end(listener)
            return
        # Half of the time for what waits, the rest for the monitors to close.
        self._deadline = time.monotonic() + timeout / 2
        self._closing = True
        self._bell.put(None)
        thread.join(timeout)
        self.active, self.wants, self.begins = False, frozenset(), False
        self.moves = (False,) * len(TaskState)
        if thread.is_alive():
            self._report(
                f"The monitor {self._busy_with!r} did not end within {timeout:g} s; what it was "
                "not told is lost."
            )
        if lost := self.lost:
            self._report(f"{lost} events were not told to monitors, because they were too slow.")


def _time_of(event: Any) -> float:
    time: float = event[1] if type(event) is tuple else event.time
    return time


def _counted(event: RunEnded, lost: int) -> RunEnded:
    return RunEnded(event.time, event.run_id, event.done, event.failed, event.cancelled, lost)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 - the error is another's, and so is its __str__
        return "(its message cannot be shown)"
