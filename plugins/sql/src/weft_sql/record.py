"""What a live run and one that is rebuilt write alike: the entry of a run, and rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from weft_sql.rows import Rows, Short, clean
from weft_sql.schema import TABLES
from weft_sql.short import short_statements
from weft_sql.statements import statements

__all__ = ["enter", "entry", "heard", "write"]

_OF_RUN = (
    "program",
    "weft_version",
    "started",
    "ended",
    "done",
    "failed",
    "cancelled",
    "lost_events",
)


def entry(
    *,
    run_id: str,
    program: str,
    folder: str,
    recorder: str,
    host: str,
    owner: str,
    started: float,
    name: str = "",
    version: str = "",
) -> dict[str, Any]:
    """What the table of runs says of one as it begins.

    Args:
        run_id: unique for the run.
        program: the script, for people.
        folder: the run folder.
        recorder: what keeps the record: the folder of a monitor, or an event log.
        host: the machine of the script.
        owner: whose it is.
        started: in seconds since the epoch.
        name: as the user calls it; the program when left out.
        version: as the user counts.
    """
    return {
        "id": clean(run_id),
        "name": clean(name or Path(program).name or program),
        "version": clean(version),
        "program": clean(program),
        "folder": clean(folder),
        "recorder": clean(recorder),
        "host": clean(host),
        "owner": clean(owner),
        "weft_version": "",
        "started": started,
    }


def enter(connection: Connection, entered: dict[str, Any]) -> int:
    """Add a run, in the transaction of the connection. Returns its number."""
    key = connection.execute(TABLES["run"].insert().values(entered)).inserted_primary_key
    assert key is not None
    return int(key[0])


def write(
    connection: Connection, dialect: str, run: int, rows: Rows, *, anew: bool = False
) -> None:
    """Write rows, in the transaction of the connection.

    Args:
        connection: in a transaction.
        dialect: ``sqlite`` or ``postgresql``.
        run: the number of the run.
        rows: what its events come to.
        anew: whether these rows were never tried before, so that none of them can be there.
    """
    _write_short(connection, dialect, run, rows, Short.BEGUN, Short.WHOLE, anew=anew)
    for table, added in rows.added.items():
        _execute(connection, dialect, table, added)
    for table, standing in rows.standing.items():
        if table == "run":
            _update(connection, run, next(iter(standing.values())))
        else:
            _execute(connection, dialect, table, list(standing.values()))
    _write_short(connection, dialect, run, rows, Short.DONE, anew=anew)


def _write_short(
    connection: Connection, dialect: str, run: int, rows: Rows, *kinds: Short, anew: bool
) -> None:
    for kind in kinds:
        short = rows.short.get(kind, ())
        for statement, values in short_statements(dialect, run, kind, short, anew=anew):
            connection.exec_driver_sql(statement, values)


def heard(connection: Connection, run: int, at: float, missed: int | None) -> None:
    """Say when a run was last heard of, and how many of its events are not here."""
    table = TABLES["run"]
    values = {"heard": at, "missed_events": missed}
    connection.execute(table.update().where(table.c.run == run).values(values))


def _execute(
    connection: Connection, dialect: str, table: str, rows: Sequence[Sequence[Any]]
) -> None:
    if rows:
        for statement, values in statements(dialect, table, rows):
            connection.exec_driver_sql(statement, values)


def _update(connection: Connection, run: int, row: Sequence[Any]) -> None:
    known = dict(zip(_OF_RUN, row[1:], strict=True))
    table = TABLES["run"]
    values = {name: value for name, value in known.items() if value is not None}
    connection.execute(table.update().where(table.c.run == run).values(values))
