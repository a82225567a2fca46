"""A monitor is told what happens in a run."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import Final

from weft.interfaces.context import Context
from weft.values.events import Event
from weft.values.states import TaskState

__all__ = ["VERSION", "Interest", "Monitor"]

VERSION: Final = "1.1"

Interest = type[Event] | TaskState
"""A class of events; or a state, for the ``TaskMoved`` of tasks that come into it."""


class Monitor(ABC):
    """Is told what happens, in batches, in order.

    *Life.* ``start``, then any number of ``handle`` from one thread, then ``close``, which may be
    called twice.

    *Promises.* It decides nothing: what it raises is reported once and counted, never seen by a
    task. It may be slow; then events are dropped and counted, and the run goes on.
    """

    @abstractmethod
    def start(self, context: Context) -> None:
        """Make ready.

        Raises:
            WeftError: it cannot record anything, such as an unwritable file; then the session does
                not start.
        """

    def interests(self) -> Collection[Interest] | None:
        """What this monitor wants to be told; ``None`` for everything, which is the default.

        Asked once, after ``start``. What nobody wants is not even made, so a monitor that leaves
        out what happens to every task costs a task nothing. ``TaskMoved`` stands for the moves into
        all states, ``TaskState.FAILED`` only for those into that one.
        """
        return None

    def takes_rows(self) -> bool:
        """Whether ``handle`` takes rows beside events; it gets events alone unless it does.

        For a monitor that wants everything and is to keep up with tasks of microseconds: what is
        told of every task is a ``weft.values.events.Row`` until somebody wants events made of it,
        which takes longer than to tell it. ``weft.values.events.made`` gives the events of a row,
        so that a monitor has to know only those kinds that there are many of. Batches with rows are
        shared with others that take them, and are not to be changed.

        Asked once, after ``interests``, of monitors that want everything. New in 1.1.
        """
        return False

    @abstractmethod
    def handle(self, events: Sequence[Event]) -> None:
        """Take what happened since the last call, oldest first. Unknown kinds are to be ignored."""

    @abstractmethod
    def close(self) -> None:
        """Write what is still to be written, and end."""
