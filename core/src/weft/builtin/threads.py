"""The thread executor: tasks run in threads of this process, on the caller's own objects.

    submit ──▶ queue ──▶ weft-<label>-1 … n ──▶ report
                          weft-<label>-clock: walltimes; started with the first task that has one

A task that overruns its walltime is reported at once. Its thread is asked to end by an exception,
and is replaced, since Python code can be interrupted and compiled code cannot.
"""

import os
import threading
from collections.abc import Callable, Collection, Sequence
from heapq import heappop, heappush
from queue import Empty, SimpleQueue
from time import monotonic, perf_counter, time
from typing import TYPE_CHECKING, Any

from weft import bodies
from weft.builtin.settings import Threads
from weft.errors import SessionClosed, TaskTimeout
from weft.interfaces.executor import Executor, ExecutorContext, ExecutorStatus
from weft.pool import Retire, ThreadPool
from weft.values.task import Ended, Outcome, Task, TaskId

if TYPE_CHECKING:
    from weft.builtin.thread_lines import ThreadLines

__all__ = ["ThreadExecutor", "build"]

_VALUE, _ERROR = Ended.VALUE, Ended.ERROR


class _Overdue(BaseException):
    """Thrown into a thread whose task has run out of walltime."""


class _Best:
    """In the queue: take the most urgent task of the heap."""


_BEST = _Best()


class _Own(threading.local):
    """What a thread of the pool knows of itself.

    Attributes:
        place: where its tasks run; empty before the first.
        task: the one that it runs, or ran last.
        executor: whose thread it is.
    """

    place = ""
    task: Task | None = None
    executor: "ThreadExecutor | None" = None

    def named(self, executor: "ThreadExecutor") -> str:
        """Where the tasks of this thread run, as ``Outcome.place`` says it."""
        self.executor = executor
        self.place = f"{threading.current_thread().name} on {os.uname().nodename}"
        return self.place


_own = _Own()


class ThreadExecutor(Executor):
    """Runs tasks in ``max_threads`` threads."""

    def __init__(self, settings: Threads) -> None:
        self._settings = settings
        # A task is here until a thread or a cancel takes it out; whoever does, has it. dict.pop is
        # atomic.
        self._waiting: dict[TaskId, Task] = {}
        self._urgent: list[tuple[int, int, Task]] = []
        self._urgent_lock = threading.Lock()
        self._by_priority = False
        self._order = 0
        self._busy = 0
        self._clock: _Clock | None = None
        self._clock_lock = threading.Lock()
        self._closed = False
        self._lines: ThreadLines | None = None
        self._deafen: list[Callable[[], None]] = []

    def start(self, context: ExecutorContext) -> None:
        """Make ready; threads are started as tasks come."""
        self._context = context
        self._report: Callable[[Sequence[Outcome]], None] = context.report
        self._label = context.label
        self._pool: ThreadPool[Task | _Best] = ThreadPool(
            context.label, self._settings.max_threads, self._run, context.run_id
        )
        watch = context.watch
        if watch.level:
            self._deafen.append(bodies.on_import("logging", self._hear_records))
        if watch.prints:
            from weft.workers.hearing import hear_streams

            self._deafen.append(hear_streams(self._heard().printed))

    def _hear_records(self, logging: Any) -> None:
        level = self._context.watch.level

        def hear(record: Any) -> bool:
            # Most records are not of a task, and in most runs none is.
            return (
                _own.executor is self and record.levelno >= level and self._heard().record(record)
            )

        self._deafen.append(bodies.hear_records(logging, hear))

    def _heard(self) -> "ThreadLines":
        """What takes what tasks say; made when it is wanted."""
        if self._lines is None:
            from weft.builtin.thread_lines import ThreadLines

            context = self._context
            self._lines = ThreadLines(
                lambda: _own.task if _own.executor is self else None,
                context.tell,
                context.label,
            )
        return self._lines

    def submit(self, tasks: Sequence[Task]) -> None:
        """Queue tasks, in the order of their priorities where they have any."""
        if self._closed:
            reason = f"The executor {self._label!r} is closed."
            self._context.report(
                [
                    Outcome(t.id, t.attempt, _ERROR, SessionClosed(t.app, reason=reason))
                    for t in tasks
                ]
            )
            return
        waiting, put = self._waiting, self._pool.put
        for task in tasks:
            waiting[task.id] = task
            if task.needs.priority or self._by_priority:
                self._put_by_priority(task)
            else:
                put(task)

    def _put_by_priority(self, task: Task) -> None:
        if not self._by_priority:
            # The first task with a priority: from now on a heap decides, also among those that wait
            # already.
            self._by_priority = True
            for earlier in self._pool.drain():
                if isinstance(earlier, Task):
                    self._put_by_priority(earlier)
        with self._urgent_lock:
            self._order += 1
            heappush(self._urgent, (task.needs.priority, self._order, task))
        self._pool.put(_BEST)

    def _run(self, item: Task | _Best) -> None:
        """In a thread of the pool: one task."""
        if isinstance(item, _Best):
            with self._urgent_lock:
                task = heappop(self._urgent)[2]
        else:
            task = item
        if self._waiting.pop(task.id, None) is None:
            return  # cancelled
        bodies.current.task = task.id
        _own.task = task
        if task.needs.walltime is not None and not getattr(
            task.function, "times_out_itself", False
        ):
            self._run_timed(task, task.needs.walltime)
            return
        place = _own.place or _own.named(self)
        begun, begin = time(), perf_counter()
        try:
            value = task.function(*task.args, **task.kwargs)
        except BaseException as error:  # noqa: BLE001 - whatever it raises, the task failed
            took = perf_counter() - begin
            if self._lines is not None:
                self._lines.ended(task)
            self._report(
                (Outcome(task.id, task.attempt, _ERROR, _shown(error), place, begun, took),)
            )
        else:
            took = perf_counter() - begin
            if self._lines is not None:
                self._lines.ended(task)
            self._report((Outcome(task.id, task.attempt, _VALUE, value, place, begun, took),))

    def _run_timed(self, task: Task, walltime: float) -> None:
        clock = self._the_clock()
        one = _Timed(task, walltime, _own.place or _own.named(self))
        try:
            # From here on the exception that the clock throws may come, wherever this thread is.
            ticket = clock.begin(one)
            ended: Ended = _VALUE
            try:
                value = task.function(*task.args, **task.kwargs)
            except BaseException as error:  # noqa: BLE001 - whatever it raises, the task failed
                ended, value = _ERROR, _shown(error)
            took = perf_counter() - one.begin
            outcome = Outcome(task.id, task.attempt, ended, value, one.place, one.begun, took)
            in_time = clock.end(ticket)
            if not in_time:
                # Thrown, and perhaps not arrived: it comes with the next turn of a loop, and has to
                # come here.
                for _ in range(100):
                    pass
        except _Overdue:
            in_time = False
        if not in_time:
            raise Retire  # the clock has reported the task, and another thread has this one's place
        if self._lines is not None:
            self._lines.ended(task)
        self._report((outcome,))

    def _the_clock(self) -> "_Clock":
        with self._clock_lock:
            if self._clock is None:
                self._clock = _Clock(f"weft-{self._label}-clock", self._overrun)
            return self._clock

    def _overrun(self, one: "_Timed") -> None:
        """On the clock's thread: a task is out of time."""
        task = one.task
        bodies.stop(task.id)
        self._pool.replace()
        error = TaskTimeout(
            f"{task.app} (task {task.id})",
            one.walltime,
            "On a thread, compiled code goes on until it returns; 'processes' can stop that too.",
        )
        took = perf_counter() - one.begin
        self._report((Outcome(task.id, task.attempt, _ERROR, error, one.place, one.begun, took),))

    def cancel(self, ids: Sequence[TaskId]) -> Collection[TaskId]:
        """Take back what waits, and stop what can be stopped; see ``Executor.cancel``."""
        return [one for one in ids if self._waiting.pop(one, None) is not None or bodies.stop(one)]

    def drop(self, ids: Sequence[TaskId]) -> Collection[TaskId]:
        """Take back what waits; see ``Executor.drop``."""
        return [one for one in ids if self._waiting.pop(one, None) is not None]

    def status(self) -> ExecutorStatus:
        """What waits; what runs is counted by the kernel."""
        return ExecutorStatus(
            workers=self._settings.max_threads, running=None, waiting=len(self._waiting)
        )

    def close(self, timeout: float) -> None:
        """End the threads, and tell of those that do not end in time."""
        first, self._closed = not self._closed, True
        self._waiting.clear()
        if not hasattr(self, "_pool"):
            return
        left = self._pool.close(timeout)
        self._report = _unheard
        while self._deafen:
            self._deafen.pop()()
        if left and first:
            self._context.notice(
                "warning",
                f"{', '.join(left)} did not end in {timeout:g} s and will end with the program.",
            )
        if self._clock is not None:
            self._clock.close()


def _unheard(outcomes: Sequence[Outcome]) -> None:
    """Takes the outcomes of threads that go on after the executor was closed."""


def _shown(error: BaseException) -> BaseException:
    """The error without the frame of this room, which tells a user nothing."""
    if error.__traceback__ is not None:
        error.__traceback__ = error.__traceback__.tb_next
    return error


class _Timed:
    """A task that runs and has a walltime.

    Attributes:
        task, walltime: it, and the seconds it may take.
        ident: of the thread that runs it, which made this.
        place: where that is.
        begun, begin: when it began: since the epoch, and by the clock that is never set.
    """

    __slots__ = ("begin", "begun", "ident", "place", "task", "walltime")

    def __init__(self, task: Task, walltime: float, place: str) -> None:
        self.task, self.walltime, self.place = task, walltime, place
        self.ident, self.begun, self.begin = threading.get_ident(), time(), perf_counter()


class _Clock:
    """Knows which threads run tasks with a walltime, and when each is over."""

    def __init__(self, name: str, overrun: Callable[[_Timed], None]) -> None:
        self._overrun = overrun
        self._inbox: SimpleQueue[tuple[float, int] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._running: dict[int, _Timed] = {}
        self._next = 0
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def begin(self, one: _Timed) -> int:
        """The calling thread starts a task."""
        with self._lock:
            self._next += 1
            ticket = self._next
            self._running[ticket] = one
        self._inbox.put((monotonic() + one.walltime, ticket))
        return ticket

    def end(self, ticket: int) -> bool:
        """The calling thread has come to the end of a task; whether that was in time."""
        with self._lock:
            return self._running.pop(ticket, None) is not None

    def close(self) -> None:
        self._inbox.put(None)
        self._thread.join()

    def _work(self) -> None:
        due: list[tuple[float, int]] = []
        while True:
            try:
                item = self._inbox.get(timeout=max(0.0, due[0][0] - monotonic()) if due else None)
                if item is None:
                    return
                heappush(due, item)
            except Empty:
                self._expire(heappop(due)[1])

    def _expire(self, ticket: int) -> None:
        import ctypes

        with self._lock:
            one = self._running.pop(ticket, None)
            if one is None:
                return
            # Under the lock, so the thread is still inside the task, or waits to say that it has
            # ended.
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(one.ident), ctypes.py_object(_Overdue)
            )
        self._overrun(one)


def build(settings: Threads) -> ThreadExecutor:
    """The factory that the declaration names."""
    return ThreadExecutor(settings)
