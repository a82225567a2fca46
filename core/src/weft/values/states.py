"""The states of a task, and which state may follow which.

    pending ──▶ staging_in ──▶ launched ──▶ joining ──▶ staging_out ──▶ done
       │  ▲                       │                                     failed
       │  └────────── retry ──────┘                                     cancelled
       └──────────────────────▶ (any state but a final one may move to a final one)

``pending`` waits for inputs, for memory, or for a retry to be due. "From memory" and "because an
input failed" are facts of the outcome, not states.
"""

import enum
from collections.abc import Mapping

__all__ = ["FINAL", "MOVES", "TaskState"]


class TaskState(enum.IntEnum):
    """Where a task is on its way.

    The numbers are indices of counters and may change between versions.
    """

    PENDING = 0
    """Waits for its inputs, for an answer from memory, or for its next try."""
    STAGING_IN = 1
    """Its input files are on their way to where it will run."""
    LAUNCHED = 2
    """Handed to an executor, which may still hold it in a queue."""
    JOINING = 3
    """Its body has returned futures, and it waits for those."""
    STAGING_OUT = 4
    """Has its value; output files are on their way, or the checkpoint is being written."""
    DONE = 5
    """Ended with a value."""
    FAILED = 6
    """Ended with an exception."""
    CANCELLED = 7
    """Ended because someone asked for that."""

    @property
    def label(self) -> str:
        """The name as shown to people, such as ``staging_in``."""
        return self.name.lower()


FINAL: frozenset[TaskState] = frozenset({TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED})

_P, _I, _L, _J, _O = (
    TaskState.PENDING,
    TaskState.STAGING_IN,
    TaskState.LAUNCHED,
    TaskState.JOINING,
    TaskState.STAGING_OUT,
)

MOVES: Mapping[TaskState, frozenset[TaskState]] = {
    _P: FINAL | {_I, _L, _O},
    _I: FINAL | {_L, _P},
    _L: FINAL | {_P, _J, _O},
    _J: FINAL | {_O},
    _O: FINAL,
    **dict.fromkeys(FINAL, frozenset()),
}
"""The states that may follow each state; from ``pending`` to ``staging_out`` by memory's value."""
