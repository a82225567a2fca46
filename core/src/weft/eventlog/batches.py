"""Events of a chunk of a log as they are folded: what is told of every task by columns. Pure.

Most of a log are two short forms (:data:`weft.values.events.SHORT_FORMS`), one when a task begins
and one when it is done. Making events of them, an object for each, takes many times as long as
reading them; so who folds a log takes their columns, and events only of the rest.

The events of one chunk then come in another order: the tasks that begin first, those that are done
last. For each task that is the order in which they were told, since it begins with its first event
and is done with its last. Who needs the order among tasks asks for :meth:`Batch.events`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, compress
from math import isnan
from typing import Any, Final

from weft.values.events import BEGUN, DONE, SHORT_FORMS
from weft.values.message import message
from weft.values.task import TaskId

__all__ = ["AGES", "Batch", "Begun", "Done", "begun_of", "done_of"]

AGES: Final = 1e11
"""Seconds that nothing is longer than, or later: some thousand years. A log may say anything."""


@message
class Begun:
    """Tasks that were called, and launched in the same moment, by columns of equal lengths.

    Attributes:
        times: when.
        tasks: their numbers.
        apps: the names of their apps.
        executors: the labels of where they were launched.
    """

    times: Sequence[float]
    tasks: Sequence[TaskId]
    apps: Sequence[str]
    executors: Sequence[str]

    def events(self) -> Iterator[Any]:
        """The same as events."""
        made = SHORT_FORMS[BEGUN].made
        return chain.from_iterable(map(made, self.times, self.tasks, self.apps, self.executors))


@message
class Done:
    """Tasks that came to ``done`` by the end of a try, by columns of equal lengths.

    Attributes:
        times: when.
        tasks: their numbers.
        apps: the names of their apps.
        attempts: the numbers of the tries.
        places, begun, seconds: as of :class:`weft.values.events.TaskMoved`.
    """

    times: Sequence[float]
    tasks: Sequence[TaskId]
    apps: Sequence[str]
    attempts: Sequence[int]
    places: Sequence[str]
    begun: Sequence[float]
    seconds: Sequence[float | None]

    def _columns(self) -> tuple[Sequence[Any], ...]:
        return (
            self.times, self.tasks, self.apps, self.attempts, self.places, self.begun, self.seconds
        )  # fmt: skip

    def events(self) -> Iterator[Any]:
        """The same as events."""
        return chain.from_iterable(map(SHORT_FORMS[DONE].made, *self._columns()))

    def parted(self, fits: Sequence[bool]) -> tuple[Done, Done]:
        """Those that fit, and the others."""
        others = [not one for one in fits]
        columns = self._columns()
        return (
            Done(*(list(compress(column, fits)) for column in columns)),
            Done(*(list(compress(column, others)) for column in columns)),
        )


class Batch:
    """The events of a chunk.

    Args:
        begun: tasks that begin; they come before the others.
        others: what is told as events, in their order.
        done: tasks that are done; they come after the others.
        told: makes all events in the order in which they were told; left out where that is the
            order of the three.
    """

    __slots__ = ("_told", "begun", "done", "others")

    def __init__(
        self,
        begun: Begun | None,
        others: Sequence[Any],
        done: Done | None,
        told: Callable[[], Iterator[Any]] | None = None,
    ) -> None:
        self.begun, self.others = begun, others
        self.done = done if done is not None and done.tasks else None
        self._told = told

    def __len__(self) -> int:
        """How many events there are."""
        begun = SHORT_FORMS[BEGUN].count * len(self.begun.tasks) if self.begun else 0
        return begun + len(self.others) + (len(self.done.tasks) if self.done else 0)

    def events(self) -> Iterator[Any]:
        """All events in the order in which they were told."""
        if self._told is not None:
            return self._told()
        begun = self.begun.events() if self.begun else ()
        done = self.done.events() if self.done else ()
        return chain(begun, self.others, done)


def begun_of(columns: Sequence[Sequence[Any]]) -> Begun | None:
    """The columns of the short form; ``None`` where they are not what it has."""
    times, tasks, apps, executors = columns
    fits = _times(times) and _numbers(tasks) and _texts(apps) and _texts(executors)
    return Begun(times, tasks, apps, executors) if fits else None


def done_of(columns: Sequence[Sequence[Any]]) -> Done | None:
    """The columns of the short form; ``None`` where they are not what it has."""
    times, tasks, apps, attempts, places, begun, seconds = columns
    fits = (
        _times(times)
        and _numbers(tasks)
        and _texts(apps)
        and _numbers(attempts)
        and _texts(places)
        and set(map(type, begun)) <= {float}
        and set(map(type, seconds)) <= {float, type(None)}
    )
    return Done(times, tasks, apps, attempts, places, begun, seconds) if fits else None


def _times(column: Sequence[Any]) -> bool:
    """Whether all are moments that can be."""
    if not column or not set(map(type, column)) <= {float}:
        return False
    return min(column) > -AGES and max(column) < AGES and not isnan(sum(column))


def _numbers(column: Sequence[Any]) -> bool:
    return set(map(type, column)) <= {int} and min(column) >= 0 and max(column) < 2**63


def _texts(column: Sequence[Any]) -> bool:
    return set(map(type, column)) <= {str}
