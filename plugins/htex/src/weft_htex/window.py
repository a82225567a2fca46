"""How much of tasks' arguments has left the client at once: pure, and its thread's alone.

What was sent lies with the interchange until its task has ended, since it may have to be dealt
again, and with the managers that have it. So the client stops sending when that comes to a number
of bytes, and goes on when tasks end. What it does not send it has not packed either.

No worker is to wait for that: however large they are, as many tasks are sent as there are workers,
and some more, so that whoever has ended one finds the next at the interchange.
"""

from __future__ import annotations

from typing import Final

__all__ = ["Window"]

_SPARE: Final = 4  # for so many workers there is one task more than they run


class Window:
    """What was sent and has not ended.

    Args:
        most: bytes from which on nothing more is sent, unless workers would wait for it.

    Attributes:
        bytes: how much is out.
    """

    __slots__ = ("_most", "_out", "bytes")

    def __init__(self, most: int) -> None:
        self._most = most
        self._out: dict[int, int] = {}
        self.bytes = 0

    def __len__(self) -> int:
        """How many tasks are out."""
        return len(self._out)

    def has_room(self, workers: int) -> bool:
        """Whether another task may be sent, for so many workers."""
        return self.bytes < self._most or len(self._out) <= workers + workers // _SPARE

    def sent(self, task: int, size: int) -> None:
        """A task was sent, with so many bytes; what was sent for it before counts no more."""
        self.bytes += size - self._out.get(task, 0)
        self._out[task] = size

    def ended(self, task: int) -> None:
        """A task has ended; whether it had been sent or not."""
        self.bytes -= self._out.pop(task, 0)

    def clear(self) -> None:
        """Whoever had them is gone, and all that was sent with it."""
        self._out.clear()
        self.bytes = 0
