"""One thread, ``weft-echo-<label>``, which runs tasks in the order in which they come.

submit ──▶ [queue] ──▶ weft-echo-<label> ──▶ report
"""

import threading
from collections.abc import Sequence
from queue import SimpleQueue

from weft.interfaces.executor import Executor, ExecutorContext, ExecutorStatus
from weft.values.task import Ended, Outcome, Task
from weft_echo.settings import Echo


def build(settings: Echo) -> "EchoExecutor":
    """The executor with these settings."""
    return EchoExecutor(settings)


class EchoExecutor(Executor):
    """Runs tasks, and writes ``echo.log`` in its folder."""

    def __init__(self, settings: Echo) -> None:
        self._word = settings.word
        self._queue: SimpleQueue[Task | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self, context: ExecutorContext) -> None:
        """Start the thread."""
        self._context = context
        self._log = context.folder / "echo.log"
        self._thread = threading.Thread(target=self._run, name=f"weft-echo-{context.label}")
        self._thread.start()

    def submit(self, tasks: Sequence[Task]) -> None:
        """Take tasks."""
        for task in tasks:
            self._queue.put(task)

    def status(self) -> ExecutorStatus:
        """One worker."""
        return ExecutorStatus(workers=1, waiting=self._queue.qsize())

    def close(self, timeout: float) -> None:
        """End the thread after the task that runs."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(timeout or None)

    def _run(self) -> None:
        while (task := self._queue.get()) is not None:
            with self._log.open("a") as log:
                print(self._word, task.app, file=log)
            try:
                value = task.function(*task.args, **task.kwargs)
            except BaseException as error:  # noqa: BLE001 - whatever a task raises is its own
                self._context.report([Outcome(task.id, task.attempt, Ended.ERROR, error)])
            else:
                self._context.report([Outcome(task.id, task.attempt, Ended.VALUE, value)])
