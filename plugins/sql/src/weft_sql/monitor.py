"""The monitor ``sql``: opens the database, enters the run, and leaves events to its writer."""

import getpass
import os
import socket
import sys
import time
from collections.abc import Sequence

import sqlalchemy

from weft.errors import ConfigurationError
from weft.interfaces.context import Context
from weft.interfaces.monitor import Monitor
from weft.values.events import Event, Row
from weft_sql.database import Database, reason
from weft_sql.places import located
from weft_sql.record import enter, entry
from weft_sql.settings import Sql
from weft_sql.writer import Writer

__all__ = ["SqlMonitor", "build"]

_TO_END = 3.5
"""Seconds for what waits when the run has ended: all monitors together have five."""


def build(settings: Sql) -> "SqlMonitor":
    """The monitor with these settings."""
    return SqlMonitor(settings)


class SqlMonitor(Monitor):
    """Keeps what happens in tables."""

    def __init__(self, settings: Sql) -> None:
        self._settings = settings
        self._database: Database | None = None
        self._writer: Writer | None = None

    def start(self, context: Context) -> None:
        """Open the database, see to its schema, and enter the run.

        Raises:
            ConfigurationError: the database cannot be opened or written, or its schema is another.
        """
        settings = self._settings
        # The monitor's folder is in the run folder, which lies beside those of other runs.
        place = located(settings.database, context.folder.parent.parent)
        database = Database(place, journal=settings.journal, timeout=settings.timeout)
        self._database = database
        database.prepare()
        if database.disk and settings.journal == "auto":
            context.notice(
                "warning",
                f"The database {place} is on {database.disk}, a network file system: it is written "
                "without a write-ahead log, which makes whoever reads it wait now and then. Name a "
                "file on a local disk, or a server, to do without.",
            )
        connection = None
        try:
            connection = database.session()
            with connection.begin():
                run = enter(connection, self._entry(context))
        except (sqlalchemy.exc.DBAPIError, OSError) as error:
            if connection is not None:
                connection.close()
            raise ConfigurationError(
                f"The database {place} cannot be written.",
                why=reason(error),
                todo="See who holds it, or name another one by the option database.",
            ) from error
        self._writer = Writer(
            database,
            run,
            context.notice,
            backlog=settings.backlog,
            keep_runs=settings.keep_runs,
            keep_days=settings.keep_days,
        )
        self._writer.start(connection)

    def _entry(self, context: Context) -> dict[str, object]:
        settings = self._settings
        return entry(
            run_id=context.run_id,
            program=context.program,
            folder=str(context.folder.parent),
            recorder=str(context.folder),
            host=socket.gethostname(),
            owner=_owner(),
            started=time.time(),
            name=settings.name,
            version=settings.version,
        )

    def takes_rows(self) -> bool:
        """Yes: to make events of them would take longer than all that is done with them here."""
        return True

    def handle(self, events: Sequence[Event | Row]) -> None:
        """Leave the events to the writer."""
        if self._writer is not None:
            self._writer.put(events)

    def close(self) -> None:
        """Write what waits, and let go of the database."""
        writer, self._writer = self._writer, None
        database, self._database = self._database, None
        if writer is not None:
            writer.close(_TO_END)
        if database is not None:
            database.close()


def _owner() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in containers
        return str(os.getuid()) if sys.platform != "win32" else ""
