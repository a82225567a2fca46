"""What a worker has to tell of the call it runs, besides its result: lines and samples.

Loaded in a worker when something is to be told: when ``logging`` is imported there, or when prints
or samples are asked for. Rows wait here until the worker sends them, which it does before the
result of their call, and a tenth of a second after the first of them at the latest.
"""

from __future__ import annotations

from _pickle import dumps, loads  # `pickle` itself would load regular expressions
from _thread import RLock
from time import monotonic, perf_counter, time

from weft.workers.lines import Lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from weft.workers.lines import Row

    Sample = tuple[
        float,
        bool,
        float | None,
        float | None,
        int | None,
        int | None,
        int | None,
        int | None,
        int | None,
        int,
        int | None,
    ]
    """The fields of ``ResourceSample`` from its time on, without those that say of which try."""

__all__ = ["Outbox", "opened_told"]


class Outbox:
    """What waits to be sent.

    Any thread of the worker adds to it. Whoever handles a signal while it does may too, hence the
    kind of the lock.

    Args:
        level: the least level of records that are told.
        current: the number of the call that runs, or 0.
        wake: called when there is something, after there was nothing.

    Attributes:
        since: when the first of what waits came, by ``perf_counter``.
    """

    def __init__(self, level: int, current: Callable[[], int], wake: Callable[[], None]) -> None:
        self._level, self._current, self._wake = level, current, wake
        self._lock = RLock()
        self._number = 0
        self._lines = Lines(0.0)
        self._rows: list[tuple[int, Row]] = []
        self._samples: list[tuple[int, Sample]] = []
        self._off = False
        self._remark = ""
        self.since = 0.0

    @property
    def waiting(self) -> bool:
        """Whether there is something to send."""
        return bool(self._rows or self._samples)

    def record(self, record: Any) -> bool:
        """Take a record of ``logging``. Returns whether it is one that is told, or counted."""
        if record.levelno < self._level or self._off:
            return False
        now = monotonic()
        with self._lock:
            number = self._running(now)
            if number and (row := self._lines.logged(record, now)) is not None:
                self._add([(number, row)])
        return True

    def printed(self, stream: str, text: str) -> None:
        """Take what was printed."""
        if self._off or type(text) is not str:
            return
        now = monotonic()
        with self._lock:
            number = self._running(now)
            if number:
                rows = self._lines.printed(stream, text, time(), now)
                self._add([(number, row) for row in rows])

    def sample(self, number: int, sample: Sample) -> None:
        """Take a sample."""
        with self._lock:
            first = not self.waiting
            self._samples.append((number, sample))
            self._added(first)

    def remark(self, text: str) -> None:
        """Have something said of this worker, with the end of the first call that it runs."""
        self._remark = text

    def ended(self, number: int) -> None:
        """A call has come to its end: what it said last, and how much was left out, is told."""
        if self._remark:
            remark, self._remark = self._remark, ""
            self._rows.append((number, (time(), "WARNING", "weft", remark, 0)))
        if number != self._number:
            return
        with self._lock:
            rows = self._lines.ended(time(), monotonic())
            self._number = 0
            # No need to wake anybody: its result is about to be sent.
            self._rows += [(number, row) for row in rows]

    def take(self) -> list[bytes]:
        """All that waits, as the parts of a message."""
        with self._lock:
            rows, self._rows = self._rows, []
            samples, self._samples = self._samples, []
        return [dumps((rows, samples), 5)]

    def off(self) -> None:
        """Take nothing more: this is a child of the worker, and has no way to send it."""
        self._off = True

    def _running(self, now: float) -> int:
        """The number of the call that runs, with lines of its own."""
        number = self._current()
        if number != self._number:
            self._number, self._lines = number, Lines(now)
        return number

    def _add(self, rows: list[tuple[int, Row]]) -> None:
        if rows:
            first = not self.waiting
            self._rows += rows
            self._added(first)

    def _added(self, first: bool) -> None:
        if first:
            self.since = perf_counter()
            self._wake()


def opened_told(
    parts: Sequence[Any],
) -> tuple[list[tuple[int, Row]], list[tuple[int, Sample]]]:
    """The lines and the samples of a message, each with the number of its call.

    Raises:
        TypeError, ValueError: it is something else.
    """
    rows, samples = loads(parts[0])
    for number, (at, level, logger, text, dropped) in rows:
        _check((number, dropped), int)
        _check((level, logger, text), str)
        _check((at,), float)
    for number, (at, last, user, system, *amounts, processes, gpu) in samples:
        _check((number, processes), int)
        _check((at, user or 0.0, system or 0.0), float)
        _check((last,), bool)
        _check([amount or 0 for amount in (*amounts, gpu)], int)
        if len(amounts) != 5:
            raise ValueError("a sample has other fields")
    return rows, samples


def _check(values: Sequence[Any], kind: type) -> None:
    for value in values:
        if type(value) is not kind:
            raise TypeError(f"a {type(value).__name__} in place of a {kind.__name__}")
