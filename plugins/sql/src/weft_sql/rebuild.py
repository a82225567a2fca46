"""A run from its event log into a database, by the rows that a live run writes.

One transaction: whoever reads sees the run as it was, or as its log has it, and nothing in between;
what is killed has changed nothing.
"""

from itertools import islice
from pathlib import Path
from typing import Any, Final

import attrs
import sqlalchemy
from sqlalchemy import Connection, select

from weft.errors import WeftError
from weft.eventlog.reader import EventLogReader
from weft.eventlog.runs import held
from weft.values.events import RunEnded, RunStarted
from weft_sql.database import Database
from weft_sql.record import enter, entry, heard, write
from weft_sql.retention import forget
from weft_sql.rows import Fold, clean
from weft_sql.schema import TABLES

__all__ = ["Rebuilt", "rebuild"]

_CHUNK: Final = 8192
"""Events that are made into rows at once."""


@attrs.frozen
class Rebuilt:
    """What became of a run.

    Attributes:
        number: of the run, in the database.
        events: how many were read and are there.
        replaced: whether the database had the run before.
        going_on: whether the run goes on, or may: only what its log had is there.
        ended: whether the log says that the run has ended.
        missing: chunks of the log that are damaged or not there.
        skipped: bytes of it that could not be read.
    """

    number: int
    events: int
    replaced: bool
    going_on: bool
    ended: bool
    missing: int
    skipped: int


def rebuild(log: Path, database: Database) -> Rebuilt:
    """Have a run in a database as its event log tells it; what was there of the run is replaced.

    Of a run that goes on, what its log has by now is taken, unless its own monitor writes to this
    very database.

    Args:
        log: the event log, or the run folder that it is in.
        database: prepared.

    Raises:
        EventLogError: there is no log, or it cannot be read.
        ConfigurationError: the database cannot be written.
        WeftError: the log does not say which run it is of; or a run writes to the database itself.
    """
    with EventLogReader(log) as reader:
        # First the lock, then the log: what a run writes at its end is there before it lets go.
        writing = held(reader.path)
        try:
            connection = database.session()
            try:
                with connection.begin():
                    return _Rebuild(reader, database, connection, writing).run()
            finally:
                connection.close()
        except sqlalchemy.exc.DBAPIError as error:
            raise database.unusable(error) from error


class _Rebuild:
    def __init__(
        self,
        reader: EventLogReader,
        database: Database,
        connection: Connection,
        writing: bool | None,
    ) -> None:
        self._reader, self._database, self._connection = reader, database, connection
        self._writing = writing
        self._recorder = str(reader.path.absolute())
        self._started: RunStarted | None = None
        self._ended = False
        self._first = self._last = 0.0

    def run(self) -> Rebuilt:
        connection, table = self._connection, TABLES["run"]
        events = self._reader.new(final=self._writing is False)
        batch = self._look(list(islice(events, _CHUNK)))
        run_id = self._run_id()
        query = select(table).where(table.c.id == clean(run_id)).order_by(table.c.run)
        before = connection.execute(query).all()
        self._see_to_writers(before)
        for row in before:
            forget(connection, row.run)
        entered = self._entry(run_id, before)
        if before:
            entered["run"] = before[0].run
        number = enter(connection, entered)
        fold = Fold(number)
        while batch:
            write(connection, self._database.place.dialect, number, fold.rows(batch))
            batch = self._look(list(islice(events, _CHUNK)))
        # Damage may hide the beginning, and the start of the run be told of later.
        again = {**self._entry(run_id, before), "weft_version": None}
        again = {name: value for name, value in again.items() if value}
        connection.execute(table.update().where(table.c.run == number).values(again))
        reader = self._reader
        damaged = bool(reader.missing or reader.skipped)
        heard(connection, number, self._last, None if damaged else 0)
        return Rebuilt(
            number, fold.seq, bool(before), self._writing is not False and not self._ended,
            self._ended, reader.missing, reader.skipped,
        )  # fmt: skip

    def _look(self, batch: list[Any]) -> list[Any]:
        """See what is to be known of the run as a whole. Returns the same events."""
        for event in batch:
            kind = type(event)
            if kind is RunStarted:
                self._started = event
            elif kind is RunEnded:
                self._ended = True
            self._last = max(self._last, event.time)
        if batch and not self._first:
            self._first = batch[0].time
        return batch

    def _run_id(self) -> str:
        about = self._reader.header.about if self._reader.header else {}
        found = self._started.run_id if self._started else str(about.get("run", ""))
        if not found:
            raise WeftError(
                f"{self._reader.path} cannot be rebuilt.",
                why="It does not say which run it is of: its beginning is damaged, or not written "
                "yet.",
                todo="'weft runs show' still shows what can be read of it.",
            )
        return found

    def _see_to_writers(self, before: Any) -> None:
        """Refuse what the run's own monitor still writes to."""
        if self._writing is False or self._ended:
            return
        live = [row for row in before if row.ended is None and row.recorder != self._recorder]
        if not live:
            return
        sure = "The run goes on" if self._writing else "The run may still go on"
        raise WeftError(
            f"{self._reader.path.parent} is not rebuilt in {self._database.place}.",
            why=f"{sure}, and its own monitor writes to that database (run {live[0].run}).",
            todo="Wait until it has ended, or name another database.",
        )

    def _entry(self, run_id: str, before: Any) -> dict[str, Any]:
        started = self._started
        return entry(
            run_id=run_id,
            program=started.program if started else "",
            folder=started.folder if started else str(self._reader.path.parent.absolute()),
            recorder=self._recorder,
            host=started.host if started else "",
            owner=started.user if started else "",
            started=started.time if started else self._first,
            # What the run was called is said to its monitor alone.
            name=before[0].name if before else "",
            version=before[0].version if before else "",
        )
