"""Memory of finished calls, and of calls that are under way.

Owned by the kernel's thread; starts none, takes no lock, reads no clock and no file. What must read
a file (a value in a checkpoint, output files that have to be there still) is handed out as a
``Reader`` for the work pool.

    claim(key, task) ──▶ Hit(value)      known: settle the task with it
                         Stored(reader)  perhaps known: run reader() in the work pool
                         Lead            nobody knows: run the task
                         Follow(leader)  an identical call is under way: wait for it

    a leader ends: finished → followers get the value · failed → followers get the failure
                   cancelled → one follower is promoted and leads

A task that got ``Lead`` or ``Stored`` must be followed by exactly one of ``finished``, ``failed``
and ``cancelled``; a task that got ``Follow`` may be taken out by ``cancelled``.

Following is waiting: whoever looks for cycles among waiting tasks must count the edge from a
follower to its leader, since a join app that calls itself with its own arguments follows itself.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from weft.values.message import message
from weft.values.task import TaskId

if TYPE_CHECKING:
    # A session without a checkpoint has memory all the same, and need not load what writes files.
    from weft.dataflow.checkpoint import Output, Recalled

__all__ = ["Claim", "Follow", "Hit", "Lead", "Memo", "Promotion", "Reader", "Store", "Stored"]

Reader = Callable[[], "Recalled | None"]
"""Run off the kernel's thread; returns what was found, or ``None`` when nothing of use was.

It never raises, and it may take as long as the disk and unpickling take.
"""


class Store(Protocol):
    """Where values of earlier runs are found; ``CheckpointIndex`` is one."""

    def __contains__(self, key: bytes) -> bool:
        """Whether there is a record of this key; answered from memory."""

    def read(self, key: bytes) -> "Recalled | None":
        """The value, from disk; ``None`` if it cannot be had. From any thread. Never raises."""


@message
class Hit:
    """The value is known."""

    value: Any


@message
class Lead:
    """Nobody knows the value: run the task."""


@message
class Follow:
    """The identical call ``leader`` is under way: wait for it."""

    leader: TaskId


@message
class Stored:
    """The value may be known: ``reader()`` tells. The task leads meanwhile, and runs if not."""

    reader: Reader


@message
class Promotion:
    """A follower that leads from now on, and how it is to go on."""

    task: TaskId
    claim: "Lead | Stored"


Claim = Hit | Lead | Follow | Stored

_LEAD = Lead()


@attrs.define(eq=False)
class _Flight:
    """A call under way: who runs it, and who waits for it, in the order of their calls."""

    leader: TaskId
    followers: OrderedDict[TaskId, None] | None = None


@message
class _Known:
    value: Any
    outputs: "tuple[Output, ...]"


class Memo:
    """What is known by key: calls that have finished or are under way, and earlier runs.

    Args:
        store: values of earlier runs, or ``None``.
        max_entries: how many finished values are kept; the one used longest ago goes first.
            ``None`` keeps them all: their number is bounded by the calls of cached apps, and a
            value dropped here would make an identical call run again, which is not what "cached"
            promises.
    """

    def __init__(self, store: Store | None = None, *, max_entries: int | None = None) -> None:
        if max_entries is not None and max_entries < 1:
            raise ValueError(f"max_entries is {max_entries}; it must be at least 1, or None")
        self._store, self._max = store, max_entries
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._flights: dict[bytes, _Flight] = {}

    def __len__(self) -> int:
        """How many finished values are held."""
        return len(self._known)

    def __contains__(self, key: bytes) -> bool:
        """Whether a call of this key is known, or under way."""
        known = key in self._known or key in self._flights
        return known or (self._store is not None and key in self._store)

    @property
    def under_way(self) -> int:
        """How many different calls have a leader."""
        return len(self._flights)

    def claim(self, key: bytes, task: TaskId) -> Claim:
        """What is to be done with a task whose call has this key."""
        flight = self._flights.get(key)
        if flight is not None:
            if flight.followers is None:
                flight.followers = OrderedDict()
            flight.followers[task] = None
            return Follow(flight.leader)
        known = self._known.get(key)
        if known is not None:
            if self._max is not None:
                self._known.move_to_end(key)
            if not known.outputs:
                return Hit(known.value)
        self._flights[key] = _Flight(task)
        return self._first_step(key)

    def finished(
        self, key: bytes, task: TaskId, value: Any, outputs: "Sequence[Output]" = ()
    ) -> Sequence[TaskId]:
        """The leader has its value, run or read. Returns the followers, who get it too.

        Args:
            key: of the call.
            task: the leader. Of any other task the report is ignored.
            value: what it returned.
            outputs: local files that have to be there for the value to be of use.
        """
        flight = self._end(key, task)
        if flight is None:
            return ()
        self._known[key] = _Known(value, tuple(outputs))
        if self._max is not None:
            self._known.move_to_end(key)
            if len(self._known) > self._max:
                self._known.popitem(last=False)
        return tuple(flight.followers or ())

    def failed(self, key: bytes, task: TaskId) -> Sequence[TaskId]:
        """The leader failed for good. Returns the followers, who fail alike; the next call runs."""
        flight = self._end(key, task)
        return () if flight is None else tuple(flight.followers or ())

    def cancelled(self, key: bytes, task: TaskId) -> Promotion | None:
        """A leader or a follower was cancelled. Returns the follower that leads now, if any."""
        flight = self._flights.get(key)
        if flight is None:
            return None
        if flight.leader != task:
            if flight.followers is not None:
                flight.followers.pop(task, None)
            return None
        if not flight.followers:
            del self._flights[key]
            return None
        flight.leader, _ = flight.followers.popitem(last=False)
        return Promotion(flight.leader, self._first_step(key))

    def _end(self, key: bytes, task: TaskId) -> _Flight | None:
        flight = self._flights.get(key)
        if flight is None or flight.leader != task:
            return None
        del self._flights[key]
        return flight

    def _first_step(self, key: bytes) -> Lead | Stored:
        known = self._known.get(key)
        if known is not None:
            return Stored(lambda: _look(known))
        store = self._store
        if store is not None and key in store:
            return Stored(lambda: store.read(key))
        return _LEAD


def _look(known: _Known) -> "Recalled | None":
    """In the work pool: the value, if its files are there."""
    from weft.dataflow.checkpoint import Recalled, still_there

    return still_there(Recalled(known.value, known.outputs))
