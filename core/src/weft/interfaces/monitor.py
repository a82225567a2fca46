"""A monitor is told what happens in a run."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

from weft.interfaces.context import Context
from weft.values.events import Event

__all__ = ["VERSION", "Monitor"]

VERSION: Final = "1.0"


class Monitor(ABC):
    """Is told what happens, in batches, in order.

    *Life.* ``start``, then any number of ``handle`` from one thread, then ``close``, which may be called twice.

    *Promises.* It decides nothing: what it raises is reported once and counted, never seen by a task. It may be slow; then
    events are dropped and counted, and the run goes on.
    """

    @abstractmethod
    def start(self, context: Context) -> None:
        """Make ready.

        Raises:
            WeftError: it cannot record anything, such as an unwritable file; then the session does not start.
        """

    @abstractmethod
    def handle(self, events: Sequence[Event]) -> None:
        """Take what happened since the last call, oldest first. Unknown kinds of event are to be ignored."""

    @abstractmethod
    def close(self) -> None:
        """Write what is still to be written, and end."""
