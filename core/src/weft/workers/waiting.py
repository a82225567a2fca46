"""Waiting that Ctrl-C ends wherever it comes, and after which one may wait again.

Python runs what a signal asks for between two of its own steps, and a wait that blocks is such a
step. A signal that comes when the step has begun and the system's wait has not is noted, and looked
at when the wait is over: with a wait for hours, after hours. So long waits are made of short ones.

Neither ``threading.Event`` nor ``Thread.join`` bears it: interrupted at the wrong step, the one
stays locked, for who sets it too, and the other takes its thread for ended (before Python 3.13).
"""

from _thread import allocate_lock
from time import monotonic
from typing import Final

__all__ = ["NOTICED", "Once"]

NOTICED: Final = 1.0
"""Seconds after which an interrupt is noticed at the latest: the longest single wait."""


class Once:
    """Something that happens once, and is waited for.

    Attributes:
        happened: whether it has.
    """

    __slots__ = ("_gate", "happened")

    def __init__(self) -> None:
        self.happened = False
        self._gate = allocate_lock()
        self._gate.acquire()

    def happen(self) -> None:
        """It has happened. For one thread, once."""
        self.happened = True
        self._gate.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it happens; whether that was within ``timeout`` seconds."""
        until = None if timeout is None else monotonic() + timeout
        while not self.happened:
            left = NOTICED if until is None else min(NOTICED, until - monotonic())
            if left <= 0:
                return False
            # Who is interrupted with the gate in his hand keeps it from the others; then it is what
            # has happened that they see, a second later.
            if self._gate.acquire(timeout=left):
                self._gate.release()
        return True
