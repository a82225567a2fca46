"""An executor in which a task ends when the test says so, and how."""

import threading
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from weft.errors import ExecutorFailed
from weft.interfaces.executor import Executor, ExecutorContext, ExecutorStatus
from weft.testing.contexts import PATIENCE, NothingHappened
from weft.values.task import Ended, Outcome, Task, TaskId

__all__ = ["FakeExecutor"]

_RUN_IT: Final = object()


class FakeExecutor(Executor):
    """Holds tasks until the test ends them. May be used from any thread.

    Args:
        workers: what ``status`` says.
        refuses: raised by ``start``, if given.

    Attributes:
        tasks: every task that was submitted, in order.
        cancelled: the ids that were to be cancelled, in order.
        started, closed: how often it was.
    """

    def __init__(self, *, workers: int = 1, refuses: BaseException | None = None) -> None:
        self._workers, self._refuses = workers, refuses
        self._changed = threading.Condition()
        self._held: dict[tuple[TaskId, int], Task] = {}
        self._context: ExecutorContext | None = None
        self.tasks: list[Task] = []
        self.cancelled: list[TaskId] = []
        self.started = self.closed = 0

    # -------------------------------------------------------------------------------- the interface

    def start(self, context: ExecutorContext) -> None:
        """Keep the context, or raise what the test asked for."""
        self.started += 1
        if self._refuses is not None:
            raise self._refuses
        self._context = context

    def submit(self, tasks: Sequence[Task]) -> None:
        """Hold the tasks."""
        with self._changed:
            for task in tasks:
                self.tasks.append(task)
                self._held[task.id, task.attempt] = task
            self._changed.notify_all()

    def cancel(self, ids: Sequence[TaskId]) -> Collection[TaskId]:
        """Drop those that are held, and report them."""
        with self._changed:
            self.cancelled += ids
            dropped = [task for task in self._held.values() if task.id in set(ids)]
            for task in dropped:
                del self._held[task.id, task.attempt]
            self._changed.notify_all()
        self._report([Outcome(one.id, one.attempt, Ended.CANCELLED, None) for one in dropped])
        return [task.id for task in dropped]

    def status(self) -> ExecutorStatus:
        """As many running as there are workers, the rest waiting."""
        with self._changed:
            held = len(self._held)
        running = min(held, self._workers)
        return ExecutorStatus(workers=self._workers, running=running, waiting=held - running)

    def close(self, timeout: float) -> None:
        """Forget what is held."""
        with self._changed:
            self.closed += 1
            self._held.clear()
            self._changed.notify_all()

    # ------------------------------------------------------------------------------------ the crank

    @property
    def seen(self) -> list[Callable[..., Any]]:
        """The functions of all tasks that were submitted, in order."""
        with self._changed:
            return [task.function for task in self.tasks]

    @property
    def waiting(self) -> list[Task]:
        """The tasks that it holds now, in order of submission."""
        with self._changed:
            return list(self._held.values())

    def wait(self, count: int = 1, timeout: float = PATIENCE) -> list[Task]:
        """Wait until that many tasks were submitted in all. Returns all of them.

        Raises:
            NothingHappened: fewer came in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.tasks) >= count, timeout):
                raise NothingHappened(
                    f"{len(self.tasks)} of {count} tasks came within {timeout:g} s: {self.seen!r}"
                )
            return list(self.tasks)

    def finish(self, task: Task, value: Any = _RUN_IT) -> Outcome:
        """End a task with a value; without one its function is called here, and may raise."""
        self._release(task)
        if value is not _RUN_IT:
            return self._end(task, Ended.VALUE, value)
        try:
            value = task.function(*task.args, **task.kwargs)
        except BaseException as error:  # noqa: BLE001 - a task may raise anything, and it is its own
            return self._end(task, Ended.ERROR, error)
        return self._end(task, Ended.VALUE, value)

    def fail(self, task: Task, error: BaseException) -> Outcome:
        """End a task with an error of its own."""
        self._release(task)
        return self._end(task, Ended.ERROR, error)

    def lose(self, task: Task, reason: str = "the machine is gone") -> Outcome:
        """End a task because something broke under it."""
        self._release(task)
        return self._end(task, Ended.LOST, ExecutorFailed(self._label, reason))

    def kill(self, task: Task, reason: str = "the worker died") -> Outcome:
        """End a task because its worker died while it ran."""
        self._release(task)
        return self._end(task, Ended.KILLED, ExecutorFailed(self._label, reason))

    def finish_all(self) -> int:
        """Finish what is held, and what comes in because of that. Returns how many."""
        count = 0
        while held := self.waiting:
            for task in held:
                self.finish(task)
            count += len(held)
        return count

    def break_down(self, error: BaseException | None = None) -> None:
        """Say that the executor cannot go on."""
        if self._context is None:
            raise AssertionError("the executor was not started")
        self._context.failed(error or ExecutorFailed(self._label, "the test broke it"))

    @property
    def _label(self) -> str:
        return self._context.label if self._context is not None else "fake"

    def _release(self, task: Task) -> None:
        with self._changed:
            if self._held.pop((task.id, task.attempt), None) is None:
                raise AssertionError(f"{task!r} is not held: ended before, or never submitted")

    def _end(self, task: Task, ended: Ended, value: Any) -> Outcome:
        outcome = Outcome(task.id, task.attempt, ended, value, "fake")
        self._report([outcome])
        return outcome

    def _report(self, outcomes: Sequence[Outcome]) -> None:
        if outcomes and self._context is not None:
            self._context.report(outcomes)
