"""Runs tasks in a pool that something else brings.

One thread, ``weft-futures-<label>``, owns the pool and the order of the tasks. It gives the pool
few more tasks than that can run, so that the others can still be dropped or overtaken, and are not
lost when the pool breaks.

    submit ──▶ [inbox] ──▶ weft-futures-<label> ──pool.submit──▶ the pool's own threads and
    processes
                  ▲              │ report                            │
                  └──────────────│───────── done callback ───────────┘
                                 ▼
                              context

A pool that breaks says of every task in it that it broke, and not which one did it. Those tasks are
lost; when they come back, each runs alone until it has ended once. So a task that kills its worker
is known for sure the second time, and harms others once.
"""

import heapq
import importlib
import inspect
import itertools
import multiprocessing
import threading
import time
from collections.abc import Collection, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import Executor as Pool
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final

import attrs

from weft.calls import Budget, Packer, calls_message, error_of, explained, opened, value_of
from weft.calls.running import VALUE
from weft.errors import ExecutorFailed, SerializationError, SettingsError, WeftError
from weft.interfaces.executor import Executor, ExecutorContext, ExecutorStatus
from weft.values.task import Ended, Outcome, Task, TaskId
from weft.workers.waiting import Once
from weft_futures import worker
from weft_futures.errors import PoolLost
from weft_futures.settings import Futures

__all__ = ["FuturesExecutor", "build"]

_STARTS: Final = 3
# What an orderly or a forced end of a pool may take.
_ENDING: Final = 5.0
# What a worker may take to end when asked.
_ASKING: Final = 1.0


def build(settings: Futures) -> "FuturesExecutor":
    """The executor with these settings."""
    return FuturesExecutor(settings)


@attrs.define(eq=False)
class _Flight:
    """A task that the pool has."""

    task: Task
    generation: int
    future: "Future[Any] | None" = None
    dropped: bool = False


@attrs.define(eq=False)
class _Landed:
    """In the inbox: the pool is done with a task."""

    flight: _Flight


@attrs.define(eq=False)
class _Close:
    """In the inbox: end, until that time."""

    until: float


_Message = Sequence[Task] | _Landed | _Close


class FuturesExecutor(Executor):
    """Runs tasks in a pool."""

    def __init__(self, settings: Futures) -> None:
        self._settings = settings
        self._inbox: SimpleQueue[_Message] = SimpleQueue()
        # Whoever takes a task out of _waiting has it; dict.pop is atomic.
        self._waiting: dict[TaskId, Task] = {}
        self._flying: dict[TaskId, _Flight] = {}
        self._order: list[tuple[int, int, Task]] = []
        self._count = itertools.count()
        self._suspects: set[TaskId] = set()
        self._pool: Pool | None = None
        self._generation = 0
        self._packs = True
        self._until: float | None = None
        self._interrupted = threading.Event()
        self._thread: threading.Thread | None = None
        self._over = Once()
        self._closed = False

    # -------------------------------------------------------------------------------- the interface

    def start(self, context: ExecutorContext) -> None:
        """Make the pool, and run one call in it that does nothing.

        Raises:
            SettingsError: the factory is not there, or does not take these options.
            ExecutorFailed: the pool did not run the call.
        """
        self._context = context
        self._packer = Packer(budget=Budget.of(self._settings.argument_budget, context.notice))
        self._make = self._factory()
        try:
            self._open()
        except WeftError:
            self._shut(force=True)
            raise
        self._thread = threading.Thread(
            target=self._run, name=f"weft-futures-{context.label}", daemon=True
        )
        self._thread.start()

    def submit(self, tasks: Sequence[Task]) -> None:
        """Take tasks."""
        for task in tasks:
            self._waiting[task.id] = task
        # All at once: the most urgent of them is the first that the pool gets.
        self._inbox.put(tuple(tasks))

    def cancel(self, ids: Sequence[TaskId]) -> Collection[TaskId]:
        """Drop tasks that wait, here or in the pool."""
        certain = []
        for task_id in ids:
            task = self._waiting.pop(task_id, None)
            if task is not None:
                self._context.report([Outcome(task.id, task.attempt, Ended.CANCELLED, None)])
                certain.append(task_id)
                continue
            flight = self._flying.get(task_id)
            if flight is not None and flight.future is not None:
                flight.dropped = True
                if flight.future.cancel():
                    certain.append(task_id)
        return certain

    def drop(self, ids: Sequence[TaskId]) -> Collection[TaskId]:
        """The same: what runs in a pool cannot be stopped anyway."""
        return self.cancel(ids)

    def status(self) -> ExecutorStatus:
        """A quick look."""
        workers, flying = self._settings.workers, len(self._flying)
        running = min(workers, flying)
        return ExecutorStatus(
            workers=workers,
            running=running,
            waiting=len(self._waiting) + flying - running,
            details={"factory": self._settings.factory, "pools made": self._generation},
        )

    def close(self, timeout: float) -> None:
        """End the pool."""
        self._closed = True
        self._waiting.clear()
        self._interrupted.set()
        thread = self._thread
        if thread is not None:
            self._inbox.put(_Close(time.monotonic() + timeout))
            self._over.wait(timeout + _ENDING)
        stuck = bool(self._flying) or (thread is not None and not self._over.happened)
        self._shut(force=stuck)
        if thread is not None:
            thread.join(_ENDING)

    # ------------------------------------------------------------------------------------- the pool

    def _factory(self) -> Any:
        settings = self._settings
        module, _, path = settings.factory.partition(":")
        try:
            made: Any = importlib.import_module(module)
            for name in path.split("."):
                made = getattr(made, name)
        except Exception as error:
            raise SettingsError(
                f"the executor {settings.called!r}",
                "factory",
                f"{settings.factory!r} cannot be imported.",
                allowed=f"{type(error).__name__}: {error}",
                todo="Mend the name, or install the package that it is in.",
            ) from error
        if not callable(made):
            raise SettingsError(
                f"the executor {settings.called!r}",
                "factory",
                f"{settings.factory!r} is not callable.",
                allowed=f"It is {type(made).__name__!r}; what makes a pool is called.",
                todo="Name a class or a function.",
            )
        return made

    def _open(self) -> None:
        """Make a pool that runs calls; three tries."""
        for left in reversed(range(_STARTS)):
            self._generation += 1
            try:
                self._pool = self._new_pool()
                self._try_out(self._pool)
            except ExecutorFailed as failure:
                self._shut(force=True)
                if left == 0 or self._closed:
                    raise
                self._context.notice("warning", f"{failure.what} {failure.reason} Trying again.")
            else:
                return

    def _new_pool(self) -> Pool:
        settings = self._settings
        options = dict(settings.options)
        if settings.workers_option:
            options.setdefault(settings.workers_option, settings.workers)
        if isinstance(options.get("mp_context"), str):
            options["mp_context"] = multiprocessing.get_context(options["mp_context"])
        try:
            if "initializer" in inspect.signature(self._make).parameters:
                options.setdefault("initializer", worker.prepare)
        except (TypeError, ValueError):  # compiled code that does not say what it takes
            pass
        try:
            pool = self._make(**options)
        except TypeError as error:
            raise SettingsError(
                f"the executor {settings.called!r}",
                "options",
                f"{settings.factory!r} does not take these options: "
                f"{', '.join(map(repr, options))}.",
                allowed=str(error),
                todo="Mend the options; workers_option says how the number of workers is passed "
                "on.",
            ) from error
        except Exception as error:
            raise self._failure(
                f"{settings.factory!r} raised {type(error).__name__}: {error}"
            ) from error
        if not callable(getattr(pool, "submit", None)) or not callable(
            getattr(pool, "shutdown", None)
        ):
            raise SettingsError(
                f"the executor {settings.called!r}",
                "factory",
                f"{settings.factory!r} returned {type(pool).__name__!r}, which is not a pool.",
                allowed="A pool has the methods of concurrent.futures.Executor.",
                todo="Name what makes one.",
            )
        self._packs = (
            not isinstance(pool, ThreadPoolExecutor) if settings.pack is None else settings.pack
        )
        made: Pool = pool
        return made

    def _try_out(self, pool: Pool) -> None:
        """Run a call that does nothing, and wait for it."""
        ended = self._interrupted = threading.Event()
        if self._closed:
            ended.set()
        try:
            first = pool.submit(worker.ready)
        except Exception as error:
            raise self._failure(f"It took no call: {type(error).__name__}: {error}") from error
        first.add_done_callback(lambda _: ended.set())
        in_time = ended.wait(self._settings.start_timeout)
        if not first.done():
            reason = (
                "It was closed before it had run its first call."
                if in_time
                else f"It did not run its first call within {self._settings.start_timeout:g} s."
            )
            raise self._failure(reason)
        try:
            first.result()
        except (Exception, CancelledError) as error:
            raise self._failure(
                f"Its first call failed: {type(error).__name__}: {error}"
            ) from error

    def _failure(self, reason: str) -> ExecutorFailed:
        return ExecutorFailed(
            self._context.label,
            reason,
            f"Try {self._settings.factory!r} alone, in a script that only submits a call to it; "
            "its workers must be able to import weft_futures.",
        )

    def _lost(self, reason: str, *, alone: bool = False) -> PoolLost:
        return PoolLost(self._context.label, reason, alone=alone)

    def _shut(self, *, force: bool) -> None:
        """End the pool, in bounded time."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        if force:
            _kill(pool)
        ending = threading.Thread(
            target=_shut_down,
            args=(pool,),
            name=f"weft-futures-{self._context.label}-end",
            daemon=True,
        )
        ending.start()
        ending.join(_ENDING)
        if ending.is_alive() and _kill(pool):
            ending.join(_ENDING)
        if ending.is_alive():
            self._context.notice(
                "warning",
                f"The pool of the executor {self._context.label!r} did not end, and cannot be "
                "made to: "
                "something in it still runs.",
            )

    # ------------------------------------------------------------------ thread weft-futures-<label>

    def _run(self) -> None:
        try:
            while self._handle(self._next()):
                self._feed()
        except ExecutorFailed as failure:
            if not self._closed:
                self._context.failed(failure)
        except BaseException as trouble:  # noqa: BLE001 - or every task would wait for ever
            self._context.failed(self._failure(f"{type(trouble).__name__}: {trouble}"))
        finally:
            self._over.happen()

    def _next(self) -> _Message | None:
        if self._until is None:
            return self._inbox.get()
        try:
            return self._inbox.get(timeout=max(0.0, self._until - time.monotonic()))
        except Empty:
            return None

    def _handle(self, message: _Message | None) -> bool:
        """Take note of what happened. Returns whether to go on."""
        if message is None:
            return False
        if isinstance(message, _Landed):
            self._landed(message.flight)
        elif not isinstance(message, _Close):
            for task in message:
                heapq.heappush(self._order, (task.needs.priority, next(self._count), task))
        else:
            # A second call with a shorter timeout counts for both.
            self._until = min(message.until, self._until or message.until)
            for flight in self._flying.values():
                if flight.future is not None:
                    flight.dropped |= flight.future.cancel()  # what the pool has not begun
        return self._until is None or bool(self._flying)

    def _feed(self) -> None:
        """Give the pool what it can take."""
        while self._order and self._until is None:
            task = self._order[0][2]
            if self._waiting.get(task.id) is not task:  # dropped meanwhile
                heapq.heappop(self._order)
                continue
            alone = task.id in self._suspects
            # In the pool's own queue one more for each worker, so that none waits for us.
            most = (
                1 if alone or self._suspects & self._flying.keys() else 2 * self._settings.workers
            )
            if len(self._flying) >= most:
                return
            heapq.heappop(self._order)
            if self._waiting.pop(task.id, None) is not None:
                self._give(task)

    def _give(self, task: Task) -> None:
        subject = f"{task.app!r} (task {task.id})"
        try:
            function, args = self._in_form(task, subject)
        except SerializationError as error:
            self._report(task, Ended.ERROR, error)
            return
        except Exception as error:  # noqa: BLE001 - packing runs anybody's code
            failure = SerializationError(subject, "", f"{type(error).__name__}: {error}")
            failure.__cause__ = error
            self._report(task, Ended.ERROR, failure)
            return
        for _ in range(_STARTS):
            if self._pool is None:
                self._open()
            flight = _Flight(task, self._generation)
            self._flying[task.id] = flight
            try:
                assert self._pool is not None
                flight.future = self._pool.submit(function, *args)
            except Exception as error:  # noqa: BLE001 - a pool is another's code
                del self._flying[task.id]
                self._broken(error)
                continue
            flight.future.add_done_callback(partial(self._tell, _Landed(flight)))
            return
        self._report(task, Ended.LOST, self._lost("The pool took no task."))

    def _tell(self, landed: _Landed, _: "Future[Any]") -> None:
        """In a thread of the pool."""
        self._inbox.put(landed)

    def _in_form(self, task: Task, subject: str) -> tuple[Any, tuple[Any, ...]]:
        """What the pool is asked to call, and with what."""
        if not self._packs:
            return worker.call_here, (task.function, task.args, task.kwargs)
        call = self._packer.pack(
            task.function,
            task.args,
            task.kwargs,
            subject,
            chosen=task.serializer,
            task=task.id,
        )
        # Which worker gets it is the pool's choice, so each call brings its definitions.
        return worker.run, (worker.solid(calls_message([(0, call)], {})),)

    # ---------------------------------------------------------------------------------- the results

    def _landed(self, flight: _Flight) -> None:
        task, future = flight.task, flight.future
        if self._flying.get(task.id) is not flight or future is None:
            return  # reported already, with a pool that broke
        if future.cancelled():
            del self._flying[task.id]
            if flight.dropped:
                self._report(task, Ended.CANCELLED, None)
            else:
                self._report(task, Ended.LOST, self._lost("The pool dropped it."))
            return
        error = future.exception()
        if isinstance(error, BrokenExecutor):
            if flight.generation == self._generation:
                self._broken(error)
            return
        del self._flying[task.id]
        if error is not None:
            self._report(task, Ended.LOST, self._lost(f"{type(error).__name__}: {error}"))
            return
        self._suspects.discard(task.id)
        self._report_result(task, future.result())

    def _broken(self, error: BaseException) -> None:
        """The pool is of no use any more: its tasks are lost, and the next one gets a new pool."""
        crew = list(self._flying.values())
        lost = []
        for flight in crew:
            future = flight.future
            if (
                future is not None
                and future.done()
                and not future.cancelled()
                and future.exception() is None
            ):
                self._landed(flight)  # it was quicker
            elif self._flying.pop(flight.task.id, None) is not None:
                lost.append(flight)
        said = f"{type(error).__name__}: {error}"
        # Alone in the pool: then it was this one.
        how = Ended.KILLED if len(lost) == 1 else Ended.LOST
        for flight in lost:
            if how is Ended.LOST:
                self._suspects.add(flight.task.id)
            if flight.dropped:
                self._report(flight.task, Ended.CANCELLED, None)
            else:
                self._report(flight.task, how, self._lost(said, alone=how is Ended.KILLED))
        count = f"{len(lost)} task" + ("" if len(lost) == 1 else "s")
        self._context.notice(
            "warning", f"The pool broke with {count} in it, and is made again. Why: {said}"
        )
        self._shut(force=True)

    def _report_result(self, task: Task, result: Any) -> None:
        if not self._packs:
            returned, value = result
            self._report(task, Ended.VALUE if returned else Ended.ERROR, value)
            return
        try:
            place, parts = result
            _, ((_, kind, head, buffers, took, begun),) = opened(parts)
            if kind == VALUE:
                ended, value = Ended.VALUE, value_of(head, buffers)
            else:
                ended = Ended.ERROR
                value = explained(
                    error_of(head), f"raised by {task.app} (task {task.id}) in {place}"
                )
        except SerializationError as error:
            self._report(task, Ended.ERROR, error)
        except Exception as error:  # noqa: BLE001 - what comes back was in another's hands
            self._report(task, Ended.LOST, self._lost(f"Its result cannot be read: {error}"))
        else:
            outcome = Outcome(task.id, task.attempt, ended, value, place, begun, took * 1e-6)
            self._context.report([outcome])

    def _report(self, task: Task, ended: Ended, value: Any) -> None:
        self._context.report([Outcome(task.id, task.attempt, ended, value)])


def _shut_down(pool: Pool) -> None:
    try:
        pool.shutdown(wait=True, cancel_futures=True)
    except TypeError:  # written for Pythons without cancel_futures
        pool.shutdown(wait=True)
    except Exception:  # noqa: BLE001, S110 - a broken pool may fail at its end too, and nothing depends on it
        pass


def _kill(pool: Any) -> bool:
    """Stop the processes of a pool, where there is a way to. Returns whether there was one."""
    kill_workers = getattr(
        pool, "kill_workers", None
    )  # the standard library's, from Python 3.14 on
    try:
        if callable(kill_workers):
            kill_workers()
            return True
        # Before that no public way exists, and a pool that hangs must not outlive the session.
        processes = list((getattr(pool, "_processes", None) or {}).values())
        for process in processes:
            process.terminate()  # which lets a worker end the command of its task
        until = time.monotonic() + _ASKING
        for process in processes:
            process.join(max(0.0, until - time.monotonic()))
            process.kill()
    except Exception:  # noqa: BLE001 - as above
        return True
    return bool(processes)
