"""What it costs to have all that happens in a run in tables."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from benchmarks.case import Bar, Case, Column, Sample
from benchmarks.contestants import FOLDER
from benchmarks.flood import flood_and_close

_THREADS, _HTEX = "weft threads", "weft htex"
_THREADS_ON, _HTEX_ON = "weft threads, monitoring", "weft htex, monitoring"
_LARGE = 100_000


def measure(contestant: str, size: int) -> Sample:
    each, close = flood_and_close(contestant, size)
    sample = {**each, "close": close}
    database = FOLDER / "weft.db"
    if database.exists():
        with closing(sqlite3.connect(database)) as connection:
            # What was counted as missing, and what nobody has noticed.
            (counted,) = connection.execute(
                "SELECT coalesce(lost_events, 0) + missed_events FROM run"
            ).fetchone()
            (done,) = connection.execute(
                "SELECT count(*) FROM task JOIN try USING (run, task) "
                "WHERE state = 'done' AND outcome = 'done'"
            ).fetchone()
        sample["lost"] = max(counted, 3 * (size - done))
        sample["bytes"] = database.stat().st_size / size
    return sample


def _closing(what: str, contestant: str) -> Bar:
    return Bar(
        f"seconds until what waits is in the tables, at the end of 100,000 tasks on {what}",
        lambda of: of(contestant, _LARGE, "close"),
        must=1.0,
        unit=" s",
        low=True,
    )


def _lost(what: str, contestant: str) -> Bar:
    return Bar(
        f"events of 100,000 tasks on {what} that are in no table",
        lambda of: of(contestant, _LARGE, "lost"),
        must=0.0,
        unit="",
        low=True,
    )


CASE = Case(
    name="sql",
    title="What happened, in tables",
    about=(
        "All calls are made, then all results taken, and the session is closed, until which all of"
        " it counts; two threads or workers. With the monitor sql, on SQLite, and without; the"
        " event log is written in both. CPU is of the whole process tree, per task. Closing is from"
        " the last result until the session has ended, its workers too, in which what waits is"
        " written. Lost: events that are in no table, of three per task. Bytes: the database, per"
        " task."
    ),
    contestants=(_THREADS, _THREADS_ON, _HTEX, _HTEX_ON),
    sizes=(1_000, _LARGE),
    quick=(1_000,),
    columns=(
        Column("cpu", "CPU µs/task"),
        Column("wall", "wall µs/task"),
        Column("close", "closing s", 2),
        Column("lost", "lost", 0),
        Column("bytes", "B/task", 0),
    ),
    measure=measure,
    seconds=300.0,
    bars=(
        _closing("threads", _THREADS_ON),
        _closing("htex", _HTEX_ON),
        _lost("threads", _THREADS_ON),
        _lost("htex", _HTEX_ON),
    ),
)
