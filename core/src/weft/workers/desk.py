"""What executors with workers and a thread of their own have in common: an inbox, and words.

    kernel thread   post ──▶ [inbox] ──▶ wakes the owner, if that sleeps
    the owner       asleep = True, look whether the inbox is empty, wait for ``wake``, take

The owner says that it sleeps *before* it looks whether there is something, and whoever posts adds
something *before* looking whether the owner sleeps; so one of the two sees the other.
"""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from weft.errors import ExecutorFailed, SessionClosed
from weft.values.task import Ended, Outcome, Task

__all__ = ["Inbox", "broken", "longest", "raised_on", "refusals"]

_BASH_GRACE: Final = 5.0
"""Seconds that a body which keeps its walltime itself has to say that it is over."""


class Inbox:
    """What other threads say to the one that owns it, in order.

    Attributes:
        entries: pairs of a word and what it is about; the owner takes them from the left.
        wake: a socket to be waited for: readable when something was posted while the owner slept.
        asleep: set by the owner before it looks at ``entries`` for the last time, and cleared by
            the owner alone. If who posts cleared it, a Ctrl-C between that and the waking left an
            owner that sleeps on, and that nobody would wake any more.
    """

    __slots__ = ("_waker", "asleep", "entries", "wake")

    def __init__(self) -> None:
        self.entries: deque[tuple[str, Any]] = deque()
        self.asleep = False
        self.wake, self._waker = socket.socketpair()
        self.wake.setblocking(False)
        self._waker.setblocking(False)

    def post(self, what: str, about: Any) -> None:
        """Say something. From any thread; never blocks."""
        self.entries.append((what, about))
        if self.asleep:
            with contextlib.suppress(BlockingIOError, OSError):
                # Full: it will wake. Closed: it ended.
                self._waker.send(b"!")

    def woken(self) -> None:
        """Take note of having been woken. The owner's."""
        with contextlib.suppress(BlockingIOError):
            self.wake.recv(4096)

    def close(self) -> None:
        """Let go of what wakes the owner. The owner's; what is posted afterwards is kept unread."""
        self.wake.close()
        self._waker.close()


def refusals(label: str, tasks: Sequence[Task]) -> list[Outcome]:
    """How tasks end that were handed to an executor after its end."""
    reason = f"The executor {label!r} is closed."
    return [
        Outcome(task.id, task.attempt, Ended.ERROR, SessionClosed(task.app, reason=reason))
        for task in tasks
    ]


def broken(label: str, trouble: BaseException) -> ExecutorFailed:
    """What is told of an executor whose thread ended by an exception."""
    if isinstance(trouble, ExecutorFailed):
        return trouble
    error = ExecutorFailed(label, f"{type(trouble).__name__}: {trouble}")
    error.__cause__ = trouble
    return error


def longest(task: Task) -> float | None:
    """How long a task may keep its worker, in seconds; ``None`` if as long as it likes."""
    walltime = task.needs.walltime
    # A body that keeps the time itself knows more to say when it is over.
    if walltime is not None and getattr(task.function, "times_out_itself", False):
        return walltime + _BASH_GRACE
    return walltime


def raised_on(task: Task, place: str) -> str:
    """Where an exception came from, for the notes of that exception."""
    return f"raised by {task.app!r} (task {task.id}, attempt {task.attempt}) on {place}"
