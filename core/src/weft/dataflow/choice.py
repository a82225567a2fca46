"""Which calls of a run are executed when only some are to be: those chosen, and what follows. Pure.

    a call that memory does not answer
        its app is chosen                            ──▶ executed
        it is a chosen call, by its name             ──▶ executed
        an argument comes from a task executed here  ──▶ executed
        a join app that is executed here called it   ──▶ executed
        none of these                                ──▶ left out: it ends at once, with LeftOut

What needs a call that was left out fails by dependency, as it does for any that failed. The steps
of a session's own, such as taking an item of a result, are never left out: they are as their input.

The *name* of a call is made of the app's name and the arguments, without the function: it is the
same when the function is mended (``memo_keys``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from weft.values.choice import Choice
from weft.values.task import TaskId

__all__ = ["Chooser"]


class Chooser:
    """Decides for the calls of a session, one after the other.

    All but ``within`` and ``numbered`` is called from one thread. It holds a number for each task
    that is executed.

    Args:
        choice: what is to be executed.

    Attributes:
        left_out: how many calls were.
        unmet: the names of those chosen calls that nobody has made so far.
    """

    def __init__(self, choice: Choice) -> None:
        self.choice = choice
        self.left_out = 0
        self.unmet = set(choice.calls)
        self._executed: set[TaskId] = set()
        self._inner: set[TaskId] = set()
        self._here = threading.local()

    @contextmanager
    def within(self) -> Iterator[None]:
        """The body of a join app runs in this thread: the calls that it makes belong to it."""
        self._here.body = True
        try:
            yield
        finally:
            self._here.body = False

    def numbered(self, number: Callable[[], TaskId]) -> TaskId:
        """The number of a call that this thread makes."""
        task = number()
        if getattr(self._here, "body", False):
            self._inner.add(task)
        return task

    def follows(self, task: TaskId, needs: Iterable[TaskId | None]) -> bool:
        """Whether a call belongs to what is executed, by the tasks whose results it gets.

        Those have ended.
        """
        return task in self._inner or not self._executed.isdisjoint(needs)

    def stepped(self, task: TaskId, needs: Iterable[TaskId | None]) -> None:
        """A step of the session's own is made: for what needs it, it is as its input."""
        if self.follows(task, needs):
            self._executed.add(task)

    def met(self, call: str) -> None:
        """Somebody has made a call of this name, whoever answers it."""
        self.unmet.discard(call)

    def admits(self, task: TaskId, app: str, call: str, *, follows: bool) -> bool:
        """Whether a call that memory does not answer is executed.

        Args:
            task: its number.
            app: the name of its app.
            call: its own name; empty if it has none.
            follows: what ``follows`` has said.
        """
        admitted = follows or app in self.choice.apps or call in self.choice.calls
        if admitted:
            self._executed.add(task)
        else:
            self.left_out += 1
        return admitted
