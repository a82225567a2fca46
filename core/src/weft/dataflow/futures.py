"""``AppFuture`` and ``DataFuture``: the standard library's futures, light until somebody waits.

A future of the standard library makes a condition, a lock and two lists when it is born (1.4 µs and
1.4 kB here). Most futures are never waited for one by one, so these make their condition when it is
first looked at. ``wait``, ``as_completed`` and ``asyncio`` of the standard library work with them
unchanged.

Who may do what: only the kernel's thread settles a future. Waiters in ``result()`` are woken from
there. Callbacks that users add run on the thread ``weft-delivery``, so a slow one delays nobody but
other callbacks.

    settler: no condition ──▶ state := final
             a condition  ──▶ hold it, state := final, wake
    waiter:  make a condition ──▶ look at the state ──▶ sleep

Whether there is a condition is decided under one module-wide lock, held for a few assignments:
either the settler finds the condition, or the waiter finds the final state. Where there is one, the
state changes only while it is held, as the standard library's own ``wait`` and ``as_completed``
expect.

A thread of a pool that waits says so, and another thread stands in for it (``weft.pool``): also
when it waits by the standard library's functions, which put something into ``_waiters`` while they
do.
"""

import logging
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from concurrent.futures._base import CANCELLED_AND_NOTIFIED, FINISHED, PENDING
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Protocol, TypeVar

from weft.errors import NotUnpackable
from weft.pool import blocking
from weft.values.files import File
from weft.values.states import FINAL, TaskState
from weft.values.task import Ended, TaskId, TaskSpec, Try
from weft.workers.waiting import NOTICED

if TYPE_CHECKING:
    from weft.dataflow.lifecycle import TaskRecord
    from weft.dataflow.retrying import Call

__all__ = ["AppFuture", "DataFuture", "Owner", "Settled"]

T = TypeVar("T")

_LOG = logging.getLogger("weft")

_GATE = threading.Lock()

_HANDS_OFF = "only weft settles the futures of its tasks; cancel() is yours to call"

_IO_NOTHING: tuple["DataFuture", ...] = ()


class Owner(Protocol):
    """What a future asks of the kernel that owns its task."""

    def cancel(self, future: "AppFuture[Any]") -> bool:
        """Whether the task is certain not to end with a value."""
        ...

    def lift(self, future: "AppFuture[Any]", how: str, key: Any) -> "AppFuture[Any]":
        """A future of a part of the result; ``how`` is ``item`` or ``attribute``."""
        ...

    def deliver(self, future: "Settled[Any]") -> None:
        """Run the callbacks of a future that is settled."""
        ...


class Settled(Future[T]):
    """A future that makes its condition late, and that only its owner settles."""

    __slots__ = (
        "_cond",
        "_done_callbacks",
        "_exception",
        "_owner",
        "_result",
        "_state",
        "_waiters",
    )

    def __init__(self, owner: Owner) -> None:
        # The fields of the standard library's future; its own constructor would make the condition.
        self._state = PENDING
        self._cond: threading.Condition | None = None
        self._owner = owner

    def _made_condition(self) -> threading.Condition:
        cond = self._cond
        if cond is None:
            # Made before the gate is held: behind it nothing may happen that could run other code,
            # as collecting garbage.
            fresh, waiters, callbacks = (
                threading.Condition(),
                _Waiters(),
                list[Callable[[Future[Any]], object]](),
            )
            with _GATE:
                cond = self._cond
                if cond is None:
                    self._waiters: list[Any] = waiters
                    self._done_callbacks = callbacks
                    if self._state is PENDING:
                        self._result, self._exception = None, None
                    cond = self._cond = fresh
        return cond

    if TYPE_CHECKING:
        # As the standard library declares it, which is what its as_completed() asks of a type.
        _condition: threading.Condition
    else:
        _condition = property(_made_condition)

    def settle(self, value: Any, error: BaseException | None, *, cancelled: bool = False) -> None:
        """Give the future its end. For the owner's thread alone, and once."""
        state = CANCELLED_AND_NOTIFIED if cancelled else FINISHED
        with _GATE:
            cond = self._cond
            if cond is None:
                self._result, self._exception = value, error
                self._state = state
                return
        with cond:
            self._result, self._exception = value, error
            self._state = state
            for waiter in self._waiters:
                if cancelled:
                    waiter.add_cancelled(self)
                elif self._exception is not None:
                    waiter.add_exception(self)
                else:
                    waiter.add_result(self)
            cond.notify_all()
            watched = bool(self._done_callbacks)
        if watched:
            self._owner.deliver(self)

    def invoke_callbacks(self) -> None:
        """Run what users asked to be run. For the delivery thread."""
        for callback in self._done_callbacks:
            try:
                callback(self)
            except BaseException:  # noqa: BLE001 - a user's; the next callback is to be run
                _LOG.exception("a callback of %r raised", self)

    def done(self) -> bool:
        """Whether the task has ended, in whatever way."""
        return self._state is not PENDING

    def cancelled(self) -> bool:
        """Whether the task was cancelled."""
        return self._state is CANCELLED_AND_NOTIFIED

    def _end(self) -> TaskState | None:
        """How it has ended; ``None`` if it has not."""
        if self._state is CANCELLED_AND_NOTIFIED:
            return TaskState.CANCELLED
        if self._state is not FINISHED:
            return None
        return TaskState.DONE if self._exception is None else TaskState.FAILED

    def result(self, timeout: float | None = None) -> T:
        """The value, waiting up to ``timeout`` seconds for it.

        If the task failed, its own exception is raised.

        Raises:
            TimeoutError: it is not there in time.
            concurrent.futures.CancelledError: the task was cancelled.
        """
        if self._state is FINISHED and self._exception is None:
            return self._result  # type: ignore[return-value]
        with _may_block():
            self._await(timeout)
            return super().result(0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """The exception with which the task failed, or ``None``.

        Waits up to ``timeout`` seconds for its end.
        """
        if self._state is FINISHED:
            return self._exception
        with _may_block():
            self._await(timeout)
            return super().exception(0)

    def _await(self, timeout: float | None) -> None:
        """Wait for the end, in parts: see :mod:`weft.workers.waiting`."""
        until = None if timeout is None else monotonic() + timeout
        with self._condition:
            while not self.done():
                left = NOTICED if until is None else min(NOTICED, until - monotonic())
                if left <= 0:
                    return
                self._condition.wait(left)

    def __await__(self) -> Generator[Any, None, T]:
        import asyncio

        with _may_block():
            return (yield from asyncio.wrap_future(self).__await__())

    def set_result(self, result: Any) -> NoReturn:
        """Not for users: a task's end is decided by the task."""
        raise InvalidStateError(_HANDS_OFF)

    def set_exception(self, exception: BaseException | None) -> NoReturn:
        """Not for users: a task's end is decided by the task."""
        raise InvalidStateError(_HANDS_OFF)

    def set_running_or_notify_cancel(self) -> NoReturn:
        """Not for users: a task's way is decided by the task."""
        raise InvalidStateError(_HANDS_OFF)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{self!r} cannot be pickled: a future belongs to its session. Pass it as an argument "
            "of an app, where it is replaced by its value, or pass future.result()"
        )


class AppFuture(Settled[T], Generic[T]):
    """The future of one task: the result of calling an app.

    Besides what every ``concurrent.futures.Future`` has, ``future[key]`` and ``future.name`` are
    futures of a part of the result; an app that declares ``returns=n`` can be unpacked into n
    futures; and ``await future`` works in asyncio.

    Attributes:
        task_id: the number of the task in its session.
        app: the name of the app.
        outputs: a :class:`DataFuture` for each file in the call's ``outputs``.
        stdout, stderr: where those streams of the task go, as given in the call; ``None`` where
            nothing was said.
        tries: what came of each try that has ended so far.
        retried_as: the future of the task that was submitted in place of this one, after it failed.
    """

    __slots__ = (
        "_begun", "_executor", "_extra", "_memory", "_place", "_record", "_seconds", "_spec",
        "_tries", "task_id",
    )  # fmt: skip

    def __init__(self, owner: Owner, task_id: TaskId, spec: TaskSpec) -> None:
        self._state = PENDING
        self._cond = None
        self._owner = owner
        self.task_id = task_id
        self._spec = spec
        self._record: TaskRecord | None = None
        self._tries: Sequence[Try] | None = None
        self._extra: Extra | None = None
        # Of one good try, which is not stored as such; the rest of it is there when this is.
        self._executor = ""
        self._place: str
        self._begun: float
        self._seconds: float | None
        self._memory = False

    @property
    def app(self) -> str:
        """The name of the app."""
        return self._spec.name

    @property
    def outputs(self) -> Sequence["DataFuture"]:
        """A future for each file in the call's ``outputs``."""
        return self._extra.outputs if self._extra is not None else _IO_NOTHING

    @property
    def stdout(self) -> Any:
        """Where the task's standard output goes, as given in the call."""
        return self._extra.stdout if self._extra is not None else None

    @property
    def stderr(self) -> Any:
        """Where the task's error output goes, as given in the call."""
        return self._extra.stderr if self._extra is not None else None

    @property
    def tries(self) -> Sequence[Try]:
        """What came of each try that has ended so far."""
        record = self._record
        if record is not None and record.history is not None:
            return tuple(record.history.tries)
        if self._tries is not None:
            return tuple(self._tries)
        if self._state is FINISHED and self._executor:
            return (
                Try(
                    number=1,
                    executor=self._executor,
                    ended=Ended.VALUE,
                    place=self._place,
                    begun=self._begun,
                    seconds=self._seconds,
                ),
            )
        return ()

    def remember(self, record: "TaskRecord") -> None:
        """Keep of its record, which is about to be dropped, what ``tries`` tells."""
        if record.history is not None:
            self._tries = tuple(record.history.tries)
        elif (ran := record.ran) is not None:
            self._executor = record.executor
            self._place, self._begun, self._seconds = ran.place, ran.begun, ran.seconds

    def task_state(self) -> TaskState:
        """Where the task is now."""
        record = self._record
        if record is not None:
            return record.state
        return self._end() or TaskState.PENDING

    @property
    def retried_as(self) -> "AppFuture[T] | None":
        """The future of the task that ``Session.retry`` submitted in place of this failed one."""
        return self._extra.successor if self._extra is not None else None

    def from_memory(self) -> bool:
        """Whether the value came from memory or a checkpoint rather than from running the task."""
        return self._memory

    def running(self) -> bool:
        """Whether the task was handed to an executor and has not ended."""
        return self.task_state() is TaskState.LAUNCHED

    def cancel(self) -> bool:
        """Cancel the task if it can still be done.

        A task that waits can always be cancelled, a running one where its executor can stop it.
        Tasks that wait for this one fail with a ``DependencyError``.

        Returns:
            Whether the task is cancelled; ``False`` if it has ended, or runs where it cannot
            be stopped.
        """
        if self.done():
            return self.cancelled()
        return self._owner.cancel(self)

    def __getitem__(self, key: Any) -> "AppFuture[Any]":
        return self._owner.lift(self, "item", key)

    def __getattr__(self, name: str) -> "AppFuture[Any]":
        # Only for names that the future itself does not have. Private names are no user's business,
        # and answering them would make every protocol probe (copy, numpy, IPython) believe that
        # futures can do everything.
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self._owner.lift(self, "attribute", name)

    def __iter__(self) -> Iterator["AppFuture[Any]"]:
        count = self._spec.returns
        if count is None:
            raise NotUnpackable(self._spec.name)
        return iter([self[index] for index in range(count)])

    def __len__(self) -> int:
        count = self._spec.returns
        if count is None:
            raise NotUnpackable(self._spec.name)
        return count

    def __bool__(self) -> bool:
        return True

    def _repr_html_(self) -> str:
        """The future as notebooks show it, as it is now: nothing is waited for."""
        from weft.display import task_html

        end = self._end()
        if end is not None:  # nothing of it changes any more
            finished = end is not TaskState.CANCELLED
            return task_html(
                self.app,
                self.task_id,
                end,
                tries=self.tries,
                from_memory=self._memory,
                result=self._result if finished else None,
                error=self._exception if finished else None,
            )
        record = self._record
        if record is None:
            return task_html(self.app, self.task_id, TaskState.PENDING)
        # The record may have its end already; the future has it in a moment.
        state = TaskState.STAGING_OUT if record.state in FINAL else record.state
        waits = state is TaskState.PENDING
        return task_html(
            self.app,
            self.task_id,
            state,
            tries=self.tries,
            executor="" if waits else record.executor,
            inputs=record.unmet if waits else 0,
        )

    def __repr__(self) -> str:
        return f"<AppFuture of {self._spec.name} (task {self.task_id}): {self.task_state().label}>"


class Extra:
    """What only some futures carry.

    Attributes:
        outputs, stdout, stderr: their files.
        call: of a task that failed, how it was called.
        successor: the future of the task that was submitted in its place.
    """

    __slots__ = ("call", "outputs", "stderr", "stdout", "successor")

    def __init__(
        self, outputs: Sequence["DataFuture"] = (), stdout: Any = None, stderr: Any = None
    ) -> None:
        self.outputs, self.stdout, self.stderr = outputs, stdout, stderr
        self.call: Call | None = None
        self.successor: AppFuture[Any] | None = None


class DataFuture(Settled[File]):
    """The future of one output file.

    Its result is the ``File``, once the task that makes it has ended and staged it out.

    Attributes:
        parent: the future of the task that makes the file.
        file: the file as it was named in ``outputs``.
    """

    __slots__ = ("file", "parent")

    def __init__(self, owner: Owner, parent: AppFuture[Any], file: File) -> None:
        super().__init__(owner)
        self.parent, self.file = parent, file

    @property
    def task_id(self) -> TaskId:
        """The number of the task that makes the file."""
        return self.parent.task_id

    @property
    def filename(self) -> str:
        """The last part of the file's path."""
        return self.file.filename

    @property
    def filepath(self) -> str:
        """The path on this machine, where there is one; see :attr:`File.filepath`."""
        return self.file.filepath

    def cancel(self) -> bool:
        """Not possible by itself: the task makes all its files. Cancel ``parent``."""
        return False

    def running(self) -> bool:
        """Whether the task that makes the file runs."""
        return self.parent.running()

    def _repr_html_(self) -> str:
        """The future as notebooks show it, as it is now: nothing is waited for."""
        from weft.display import file_html

        end = self._end()
        error = self._exception if end is TaskState.FAILED else None
        path = self.file.path if self.file.scheme == "file" else ""
        return file_html(
            self.file.url,
            path,
            self.parent.app,
            self.task_id,
            end if end is not None else self.parent.task_state(),
            error=error,
        )

    def __repr__(self) -> str:
        return f"<DataFuture of {self.file.url} from {self.parent.app} (task {self.task_id})>"


# -------------------------------------------------------------------- threads that wait for futures


class _Waiters(list[Any]):
    """What ``wait`` and ``as_completed`` put here while they wait.

    The first one in a pool's thread gets it a stand-in.
    """

    def append(self, waiter: Any) -> None:
        super().append(waiter)
        if blocking.stand_in is not None:
            held = getattr(waiter, "weft_stands_in", None)
            if held is None:
                waiter.weft_stands_in = held = [0, blocking.stand_in()]
                held[1].__enter__()
            held[0] += 1

    def remove(self, waiter: Any) -> None:
        super().remove(waiter)
        held = getattr(waiter, "weft_stands_in", None)
        if held is not None:
            held[0] -= 1
            if held[0] == 0:
                del waiter.weft_stands_in
                held[1].__exit__()


class _Free:
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


_FREE = _Free()


def _may_block() -> Any:
    """What to enter around a wait: in a thread of a pool, another thread stands in meanwhile."""
    stand_in = blocking.stand_in
    return _FREE if stand_in is None else stand_in()
