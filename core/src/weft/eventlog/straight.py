"""Tasks that went straight through, by columns: some fifty bytes each, and no object. Pure.

Of most tasks a log tells nothing but that they began and that they are done, in the two short forms
(:mod:`weft.eventlog.batches`). What these say is kept in arrays; a task that anything else is told
of is kept as an object by who folds the log.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

from weft.eventlog.batches import Begun, Done
from weft.values.message import message

__all__ = ["Straight", "StraightTask"]


class _Names:
    """Texts by numbers."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._numbers: dict[str, int] = {}

    def numbers_of(self, texts: Sequence[str]) -> map[int]:
        for text in dict.fromkeys(texts):
            if text not in self._numbers:
                self._numbers[text] = len(self.texts)
                self.texts.append(text)
        return map(self._numbers.__getitem__, texts)


@message
class StraightTask:
    """What was told of a task.

    Attributes:
        app, executor: the name of its app; the label of where it was launched.
        called: when it was called, and launched.
        ended: when it was done; ``None`` while it was not told that it is.
        place, begun, seconds: of its try, as of :class:`weft.values.events.TaskMoved`.
    """

    app: str
    executor: str
    called: float
    ended: float | None
    place: str
    begun: float
    seconds: float | None


class Straight:
    """Tasks by rows, which are numbered from 0 in the order in which they began."""

    def __init__(self) -> None:
        self._apps, self._executors, self._places = _Names(), _Names(), _Names()
        self._app, self._executor, self._place = array("I"), array("I"), array("I")
        self._called, self._ended = array("d"), array("d")
        self._begun, self._seconds = array("d"), array("d")

    def __len__(self) -> int:
        """How many there are."""
        return len(self._called)

    def begin(self, told: Begun) -> None:
        """Take in tasks that begin, a row for each."""
        count = len(told.tasks)
        self._called.extend(told.times)
        self._app.extend(self._apps.numbers_of(told.apps))
        self._executor.extend(self._executors.numbers_of(told.executors))
        nothing = bytes(8 * count)
        self._begun.frombytes(nothing)
        self._place.extend([0] * count)
        unknown = array("d", [math.nan]) * count
        self._ended.extend(unknown)
        self._seconds.extend(unknown)

    def end(self, rows: Sequence[int], told: Done) -> None:
        """Take in that the tasks of some rows are done, in the order of the rows."""
        places = self._places.numbers_of(told.places)
        for row, time, place, begun, seconds in zip(
            rows, told.times, places, told.begun, told.seconds, strict=True
        ):
            self._ended[row], self._place[row], self._begun[row] = time, place, begun
            if seconds is not None:
                self._seconds[row] = seconds

    def open(self, row: int) -> bool:
        """Whether the task of a row was not told to be done."""
        return math.isnan(self._ended[row])

    def called(self, rows: Sequence[int]) -> list[float]:
        """When the tasks of some rows were called."""
        return list(map(self._called.__getitem__, rows))

    def apps(self, rows: Sequence[int]) -> list[str]:
        """The names of the apps of the tasks of some rows."""
        return [self._apps.texts[self._app[row]] for row in rows]

    def executors(self, rows: Sequence[int]) -> list[str]:
        """The labels of where the tasks of some rows were launched."""
        return [self._executors.texts[self._executor[row]] for row in rows]

    def __getitem__(self, row: int) -> StraightTask:
        """What was told of the task of a row."""
        ended, seconds = self._ended[row], self._seconds[row]
        done = not math.isnan(ended)
        return StraightTask(
            self._apps.texts[self._app[row]],
            self._executors.texts[self._executor[row]],
            self._called[row],
            ended if done else None,
            self._places.texts[self._place[row]] if done else "",
            self._begun[row],
            None if math.isnan(seconds) else seconds,
        )
