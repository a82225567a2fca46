"""Waiting that Ctrl-C ends, also a Ctrl-C that came just before it.

Python runs what a signal asks for between two of its own steps, and a wait that blocks is such a
step. A signal that comes when the step has begun and the system's wait has not is noted, and looked
at when the wait is over: with a wait for hours, after hours. It takes about one of five hundred
interrupts. So who may wait for long waits in parts.

For an event, also where it is the end of a thread: ``Thread.join`` that was interrupted takes the
thread for ended, before Python 3.13.
"""

import threading
from time import monotonic
from typing import Final

__all__ = ["NOTICED", "happens"]

NOTICED: Final = 1.0
"""Seconds after which an interrupt is noticed at the latest: the longest single wait."""


def happens(event: threading.Event, timeout: float | None = None) -> bool:
    """Wait for an event; whether it was set within ``timeout`` seconds."""
    until = None if timeout is None else monotonic() + timeout
    while not event.is_set():
        left = NOTICED if until is None else min(NOTICED, until - monotonic())
        if left <= 0:
            return False
        event.wait(left)
    return True
