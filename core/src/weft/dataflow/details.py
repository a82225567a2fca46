"""Tells with what tasks were called and how they failed: what a person would read, and no more.

    weft-kernel ──▶ [bounded queue] ──▶ weft-details: words of arguments, results, tracebacks

Making the words calls methods of users' objects, which may take long or hang; so it has a thread of
its own, started with the first task of which there is something to tell, and the kernel does no
more than to leave it what it has at hand. A flood of failures is told in part: nobody reads the
hundred-thousandth traceback, and no log should be full of them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from queue import SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from weft.dataflow.arguments import fill
from weft.errors import DependencyError, JoinError, LeftOut
from weft.shown import call_text, error_text, traceback_text, value_text
from weft.values.events import Notice, TaskDetails
from weft.values.message import message
from weft.values.states import TaskState

if TYPE_CHECKING:
    from weft.dataflow.lifecycle import TaskRecord
    from weft.values.task import TaskId

__all__ = ["Allowance", "Details"]

_AT_ONCE: Final = 1_000
_PER_SECOND: Final = 10.0
"""Failures of one kind, an app and a class of error, that are told: at once, and in each further
second."""
_KINDS: Final = 1_000
"""Kinds that are counted each for itself; what comes after them are of one kind together."""
_LETTERS: Final = 64 * 2**20
"""Letters of failures that are told in all of a run."""
_WAITING: Final = 20_000
"""Tasks that may wait for their words; of more, none are made."""
_RESULT: Final = 2_000
"""Letters of a result."""


class Allowance:
    """How many failures of each kind are told: many at once, and then a few each second. Pure."""

    def __init__(self) -> None:
        self._left: dict[tuple[str, str], tuple[float, float]] = {}

    def grants(self, kind: tuple[str, str], now: float) -> bool:
        """Whether one more of a kind is told; ``now`` is in seconds, by a clock that is not set."""
        found = self._left.get(kind)
        if found is None:
            if len(self._left) >= _KINDS:
                kind = ("", "")
            found = self._left.get(kind, (float(_AT_ONCE), now))
        tokens, then = found
        tokens = min(float(_AT_ONCE), tokens + (now - then) * _PER_SECOND)
        granted = tokens >= 1
        self._left[kind] = (tokens - 1 if granted else tokens, now)
        return granted


@message
class _Case:
    """A task of which words are to be made.

    Attributes:
        told: whether arguments and result are.
        held: whether futures were among the arguments that may not have got their values.
        value: its result, for one that ended well.
        error, trace: for one that did not; the traceback as it was then.
    """

    time: float
    id: TaskId
    app: str
    attempt: int
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    told: bool
    held: bool
    value: Any
    error: BaseException | None
    trace: TracebackType | None


class Details:
    """What the kernel leaves, and the thread that tells it.

    Args:
        tell: takes what is to be told. From any thread.
        values: of which tasks arguments and results are told: ``failed``, ``all``, or none.
    """

    def __init__(self, tell: Callable[[TaskDetails | Notice], None], values: str | None) -> None:
        self._tell, self._values = tell, values
        self._allowance = Allowance()
        self._queue: SimpleQueue[_Case | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._letters = 0
        # Touched by the kernel's thread alone.
        self._untold = self._left_out = 0

    def failed(self, record: TaskRecord, error: BaseException) -> None:
        """A try or a task has failed. On the kernel's thread."""
        if isinstance(error, (DependencyError, LeftOut)):
            return  # the task that failed by itself tells why, or nothing was tried
        kind = (record.spec.name, type(error).__name__)
        if self._allowance.grants(kind, time.monotonic()):
            self._leave(record, None, error, told=self._values is not None)
        else:
            self._untold += 1

    def done(self, record: TaskRecord) -> None:
        """A task has ended well. On the kernel's thread."""
        self._leave(record, record.value, None, told=True)

    def _leave(
        self, record: TaskRecord, value: Any, error: BaseException | None, *, told: bool
    ) -> None:
        if self._queue.qsize() >= _WAITING:
            self._left_out += 1
            return
        asked = record.aside.asked if record.aside is not None else None
        args, kwargs = asked or (record.args, record.kwargs)
        trace = error.__traceback__ if error is not None else None
        self._queue.put(
            _Case(
                time.time(),
                record.id,
                record.spec.name,
                record.attempt,
                args,
                kwargs,
                told,
                bool(record.waits_for) and record.state is not TaskState.DONE,
                value,
                error,
                trace,
            )
        )
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="weft-details", daemon=True)
            self._thread.start()

    def close(self, timeout: float) -> None:
        """End the thread, after what was left so far; say what was not told."""
        thread = self._thread
        if thread is not None:
            self._queue.put(None)
            thread.join(timeout)
            if thread.is_alive():
                self._warn(
                    "The thread weft-details did not end and will end with the program: a repr of "
                    "an argument or result takes long. Details of some tasks are missing."
                )
        if self._untold:
            self._warn(
                f"Of {self._untold:,} failures no traceback and no arguments were told: there were "
                f"more than {_AT_ONCE:,} of one kind."
            )
        if self._left_out:
            self._warn(
                f"Of {self._left_out:,} tasks no arguments and results were told: they ended "
                "faster than words could be made of them."
            )

    def _warn(self, text: str) -> None:
        self._tell(Notice(time.time(), "warning", "details", text))

    # ------------------------------------------------------------------------------ its own thread

    def _work(self) -> None:
        full = False
        while (case := self._queue.get()) is not None:
            if case.error is None or self._letters < _LETTERS:
                self._tell(self._words(case))
            elif not full:
                full = True
                self._warn(
                    f"Failures have told {_LETTERS:,} letters of tracebacks and arguments; of "
                    "those that come now, none are told."
                )
            del case  # and with it what nobody else may hold any more

    def _words(self, case: _Case) -> TaskDetails:
        arguments = result = None
        traceback = ""
        if case.told:
            arguments = _guarded(lambda: call_text(*_as_called(case)))
            if case.error is None:
                result = _guarded(lambda: value_text(case.value, _RESULT))
        error = case.error
        if error is not None:
            if isinstance(error, JoinError):  # the task within tells the rest
                traceback = _guarded(lambda: error_text(error))
            else:
                traceback = _guarded(lambda: traceback_text(error, case.trace))
            self._letters += len(arguments or "") + len(traceback)
        return TaskDetails(case.time, case.id, case.app, case.attempt, arguments, result, traceback)


def _as_called(case: _Case) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """The arguments, those taken apart for the futures in them put together again."""
    if not case.held:
        return case.args, case.kwargs
    return fill(case.args, case.kwargs, _itself)


def _itself(future: Future[Any]) -> Future[Any]:
    return future


def _guarded(words: Callable[[], str]) -> str:
    try:
        return words()
    except BaseException as trouble:  # noqa: BLE001 - a repr may raise what ends a program, too
        return f"(cannot be shown: {type(trouble).__name__})"
