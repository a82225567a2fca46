"""The thread that writes: takes events, makes rows of them, and waits for a database that is away.

    weft-monitor ──put──▶ [bounded backlog] ──chunks──▶ weft-sql ──one transaction each──▶ database
                               │ full                       │ fails
                               └──▶ counted,                └──▶ the same rows again, later
                                    told once, and at the end

Whoever tells monitors tells all of them from one thread, so a database that is slow may not hold
that one up.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import Final

import sqlalchemy
from sqlalchemy import Connection

from weft.values.events import SHORT_FORMS, Event, Row, TaskMoved, TaskSubmitted, TryEnded
from weft_sql.database import Database, reason
from weft_sql.record import heard, write
from weft_sql.retention import forget, outdated
from weft_sql.rows import Fold, Rows

__all__ = ["CHUNK", "Writer"]

CHUNK: Final = 32768
"""What is written in one transaction, at most, but for the rest of a batch: a tenth of a second's
work of SQLite, for which other runs wait."""

_GATHER: Final = 0.2
"""Seconds for which more is waited for: a task that has begun and is done by then is written once,
and so are the pages of the database that all of them lie on."""

_PAUSES: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
"""Seconds between tries to write, from the first on; the last one from then on."""

_MANY: Final = (TaskMoved, TaskSubmitted, TryEnded, tuple)

# What may be over by itself: locked, full, read-only, a server that is gone.
_PASSING: Final = (
    sqlalchemy.exc.OperationalError,
    sqlalchemy.exc.InterfaceError,
    sqlalchemy.exc.InternalError,
    sqlalchemy.exc.InvalidRequestError,
    OSError,
)


class Vanished(OSError):
    """The file is no longer where it was."""


class Writer:
    """Writes the events of one run.

    *Life.* ``start``, any number of ``put`` from one thread, ``close``.

    Args:
        database: where to.
        run: the number of the run there.
        tell: gets a level and a sentence for the person who watches.
        backlog: events that may wait; more are left out.
        keep_runs, keep_days: what is kept of former runs.
    """

    def __init__(
        self,
        database: Database,
        run: int,
        tell: Callable[[str, str], None],
        *,
        backlog: int,
        keep_runs: int | None = None,
        keep_days: float | None = None,
    ) -> None:
        self._database, self._run, self._tell = database, run, tell
        self._backlog, self._keep_runs, self._keep_days = backlog, keep_runs, keep_days
        self._inbox: SimpleQueue[Sequence[Event | Row] | None] = SimpleQueue()
        # Each counter is one of events, and changed by one thread alone: what was put and left out
        # by the one that puts, what was taken and missed by the writer.
        self._put = self._left_out = 0
        self._taken = self._missed = 0
        self._told_full = self._told_trouble = False
        self._fold = Fold(run)
        self._connection: Connection | None = None
        self._closing = threading.Event()
        self._deadline = 0.0
        self._thread = threading.Thread(target=self._work, name="weft-sql", daemon=True)

    @property
    def missed(self) -> int:
        """How many events are not in the database, and will not be."""
        return self._left_out + self._missed

    # -------------------------------------------------------------------------------- other threads

    def start(self, connection: Connection) -> None:
        """Begin, by a connection that is the writer's from now on."""
        self._connection = connection
        self._thread.start()

    def put(self, told: Sequence[Event | Row]) -> None:
        """Have events written, and rows of events; returns at once."""
        count = _count(told)
        if self._put - self._taken + count > self._backlog:
            # Few are not about one task, and much hangs on them.
            told = [one for one in told if not isinstance(one, _MANY)]
            self._left_out += count - len(told)
            count = len(told)
            if not self._told_full:
                self._told_full = True
                self._tell(
                    "warning",
                    f"The database {self._database.place} is behind by {self._backlog} events; "
                    "what comes now is left out of it until it has caught up. The run goes on.",
                )
        if told:
            self._put += count
            self._inbox.put(told)

    def close(self, timeout: float) -> None:
        """Write what waits, and end, within about ``timeout`` seconds; what is left is counted."""
        self._deadline = time.monotonic() + timeout
        self._closing.set()
        self._inbox.put(None)
        self._thread.join(timeout)
        connection = self._connection
        if self._thread.is_alive() and connection is not None:
            self._database.interrupt(connection)
        self._thread.join(_PATIENCE)
        if self._thread.is_alive():
            self._tell(
                "warning",
                f"The database {self._database.place} did not answer in time; the thread weft-sql "
                "still waits for it.",
            )
        if missed := self.missed + (self._put - self._taken):
            self._tell(
                "warning", f"{missed} events could not be written to {self._database.place}."
            )

    # ------------------------------------------------------------------------------ thread weft-sql

    def _work(self) -> None:
        try:
            self._forget()
            over = False
            while not over:
                told, over = self._next()
                count = _count(told)
                rows = self._rows(told) if told and not self._too_late() else None
                if rows is None or not self._written(rows):
                    self._missed += count
                self._taken += count
            self._finish()
        finally:
            self._disconnect()

    def _next(self) -> tuple[list[Event | Row], bool]:
        """What to write in the next transaction, and whether that is the last of it."""
        told: list[Event | Row] = []
        batch = self._inbox.get()
        if batch is not None:
            self._closing.wait(_GATHER)
        while batch is not None:
            told += batch
            if len(told) >= CHUNK:
                return told, False
            try:
                batch = self._inbox.get_nowait()
            except Empty:
                return told, False
        return told, True

    def _rows(self, told: Sequence[Event | Row]) -> Rows | None:
        try:
            return self._fold.rows(told)
        except Exception as error:  # noqa: BLE001 - events hold what plugins put in them
            self._complain(f"{type(error).__name__}: {error}")
            return None

    def _written(self, rows: Rows) -> bool:
        """Write rows, however often it takes; says whether they are written."""
        tries = 0
        while True:
            try:
                self._write(rows, anew=not tries)
            except _PASSING as error:
                self._disconnect()
                self._complain(reason(error))
            except Exception as error:  # noqa: BLE001 - rows that no database takes are left out
                self._disconnect()
                if tries:
                    self._complain(reason(error))
                    return False
                # Some of them may be there, though nobody here wrote them.
                tries = 1
                continue
            else:
                return True
            pause = _PAUSES[min(tries, len(_PAUSES) - 1)]
            tries += 1
            if not self._closing.wait(pause):
                continue
            # The end does not wait for what may take hours, but a lock is soon let go of.
            if self._too_late():
                return False
            time.sleep(_PAUSES[0])

    def _too_late(self) -> bool:
        """Whether the time to end is over."""
        return self._closing.is_set() and time.monotonic() >= self._deadline

    def _write(self, rows: Rows, *, anew: bool) -> None:
        """Write rows in one transaction.

        Args:
            rows: what to write.
            anew: whether that was not tried before, with an end that may be unknown.
        """
        connection = self._connected()
        with connection.begin():
            write(connection, self._database.place.dialect, self._run, rows, anew=anew)
            self._heard(connection)
            if self._database.vanished:
                raise Vanished(0, "the file is no longer there")

    def _heard(self, connection: Connection) -> None:
        heard(connection, self._run, time.time(), self.missed)

    def _finish(self) -> None:
        """Say at the end how many events are missing, if the last that was written does not."""
        if not self.missed or self._too_late():
            return
        with contextlib.suppress(sqlalchemy.exc.SQLAlchemyError, OSError):
            connection = self._connected()
            with connection.begin():
                self._heard(connection)

    def _forget(self) -> None:
        """Remove former runs that are not to be kept, one transaction each."""
        if self._keep_runs is None and self._keep_days is None:
            return
        try:
            connection = self._connected()
            with connection.begin():
                gone = outdated(
                    connection,
                    now=time.time(),
                    keep_runs=self._keep_runs,
                    keep_days=self._keep_days,
                )
            for run in gone:
                if self._closing.is_set():
                    return
                with connection.begin():
                    forget(connection, run)
        except (sqlalchemy.exc.SQLAlchemyError, OSError) as error:
            self._disconnect()
            self._tell("warning", f"Former runs could not be removed: {reason(error)}")

    # ------------------------------------------------------------------------------ the connection

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._database.session()
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):  # of one that is broken, nothing is asked
                connection.close()

    def _complain(self, why: str) -> None:
        if not self._told_trouble:
            self._told_trouble = True
            self._tell(
                "warning",
                f"The database {self._database.place} cannot be written: {why}. The run goes on, "
                "and so do attempts to write.",
            )


def _count(told: Sequence[Event | Row]) -> int:
    """How many events it is that were told."""
    counts = _COUNTS
    return sum([counts.get(one[0], 1) if type(one) is tuple else 1 for one in told])


_COUNTS: Final[Mapping[object, int]] = {name: form.count for name, form in SHORT_FORMS.items()}

_PATIENCE: Final = 1.0
"""Seconds that a writer has to end after its work was interrupted."""
