"""How many more tasks may be unfinished."""

import threading

__all__ = ["Slots"]


class Slots:
    """Counts down from ``max_pending``, and below zero for join bodies and callbacks."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._changed = threading.Condition()
        self._all_free = False

    def take(self, *, block: bool, force: bool) -> bool:
        """Take a slot, waiting for one if ``block``, or in any case if ``force``.

        Returns: Whether that was done.
        """
        with self._changed:
            if not force and self._free <= 0:
                if not block:
                    return self._all_free
                self._changed.wait_for(lambda: self._free > 0 or self._all_free)
            self._free -= 1
            return True

    def give(self) -> None:
        """A task has ended."""
        with self._changed:
            self._free += 1
            if self._free > 0:
                self._changed.notify()

    def open(self) -> None:
        """Let everybody pass who waits."""
        with self._changed:
            self._all_free = True
            self._changed.notify_all()
