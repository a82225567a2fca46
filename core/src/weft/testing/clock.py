"""A clock that goes on only when it is told to."""

import heapq
import itertools
import threading
from collections.abc import Callable

__all__ = ["ManualClock"]


class ManualClock:
    """Time for code that is given its clock, such as ``clock=time.monotonic``.

    Calling it gives the time. ``advance`` moves it, and runs what became due, in the order of the
    times.

    Args:
        now: the time at which it stands first, in seconds.
    """

    def __init__(self, now: float = 0.0) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._count = itertools.count()

    def __call__(self) -> float:
        """The time."""
        return self._now

    def at(self, time: float, action: Callable[[], object]) -> None:
        """Have ``action`` run once the clock reaches ``time``."""
        with self._lock:
            heapq.heappush(self._due, (time, next(self._count), action))

    def after(self, seconds: float, action: Callable[[], object]) -> None:
        """Have ``action`` run once that many seconds have passed."""
        self.at(self._now + seconds, action)

    def advance(self, seconds: float) -> None:
        """Let time pass. Actions run in the caller's thread, each at its own time."""
        if seconds < 0:
            raise ValueError("time only goes forward")
        until = self._now + seconds
        while (action := self._next(until)) is not None:
            action()
        self._now = until

    def _next(self, until: float) -> Callable[[], object] | None:
        with self._lock:
            if not self._due or self._due[0][0] > until:
                return None
            time, _, action = heapq.heappop(self._due)
            self._now = max(self._now, time)
            return action
