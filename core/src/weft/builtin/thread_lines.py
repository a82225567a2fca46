"""What tasks on threads log and print, told as they say it.

Loaded where something is to be told: when a task logs something, or when prints are asked for.
Only the task's own thread is heard; of a thread that it starts, nobody knows whose it is.
"""

import threading
from collections.abc import Callable
from time import monotonic, time
from typing import Any

from weft.values.events import LogLine
from weft.values.task import Task
from weft.workers.lines import Lines

__all__ = ["ThreadLines"]


class _Own(threading.local):
    """What the task of a thread has said.

    Attributes:
        task: which task; ``None`` if it has said nothing.
        lines: what.
    """

    task: Task | None = None
    lines: Lines


class ThreadLines:
    """Takes what the tasks of one executor say.

    Args:
        task: the task of this executor that the calling thread runs, if it runs one.
        tell: tells the monitors.
        label: the executor's.
    """

    def __init__(
        self,
        task: Callable[[], Task | None],
        tell: Callable[[LogLine], None],
        label: str,
    ) -> None:
        self._task, self._tell, self._label = task, tell, label
        self._own = _Own()

    def record(self, record: Any) -> bool:
        """Take a record of ``logging``. Returns whether it is one that is told, or counted."""
        task = self._task()
        if task is None:
            return False
        now = monotonic()
        row = self._lines(task, now).logged(record, now)
        if row is not None:
            self._say(task, row)
        return True

    def printed(self, stream: str, text: str) -> None:
        """Take what was printed."""
        task = self._task()
        if task is None or type(text) is not str:
            return
        now = monotonic()
        for row in self._lines(task, now).printed(stream, text, time(), now):
            self._say(task, row)

    def ended(self, task: Task) -> None:
        """A task of this thread has come to its end: say what is still to be said."""
        own = self._own
        if own.task is task:
            own.task = None
            for row in own.lines.ended(time(), monotonic()):
                self._say(task, row)

    def _lines(self, task: Task, now: float) -> Lines:
        own = self._own
        if own.task is not task:
            own.task, own.lines = task, Lines(now)
        return own.lines

    def _say(self, task: Task, row: Any) -> None:
        self._tell(LogLine(row[0], task.id, task.attempt, self._label, *row[1:]))
