"""What it costs to write down all that happens in a run."""

from __future__ import annotations

from benchmarks.case import Bar, Case, Column, Sample
from benchmarks.contestants import FOLDER
from benchmarks.flood import flood_and_close

_THREADS, _NO_THREADS = "weft threads", "weft threads, no event log"
_HTEX, _NO_HTEX = "weft htex", "weft htex, no event log"
_PARSL, _PARSL_HTEX = "parsl threads, log off", "parsl htex, log off"
_PARSL_ON, _PARSL_HTEX_ON = f"{_PARSL}, monitoring", f"{_PARSL_HTEX}, monitoring"
_MOST = 1_000
"""Tasks of Parsl, which takes milliseconds for each when they are written down."""


def measure(contestant: str, size: int) -> Sample:
    each, close = flood_and_close(contestant, size)
    written = [*FOLDER.glob("*/events.weft"), *FOLDER.glob("monitoring.db")]
    return {
        **each,
        "close": 1e3 * close,
        "bytes": sum(file.stat().st_size for file in written) / size,
    }


def _bar(what: str, on: str, off: str) -> Bar:
    return Bar(
        f"CPU per task, {what} over without it, 100,000 tasks",
        lambda of: of.ratio((on, 100_000, "cpu"), (off, 100_000, "cpu")),
        must=1.3,
        low=True,
    )


CASE = Case(
    name="event_log",
    title="What happened, written down",
    about=(
        "All calls are made, then all results taken, and the session is closed, until which all of"
        " it counts; two threads or workers. With weft's event log, which is on by default, and"
        " without; with Parsl's monitoring, of tasks but not of their use of resources, and"
        " without, and without its log in both."
        " CPU is of the whole process tree, per task. Closing is from the last result until the"
        " session has ended, its workers too. Bytes: the log, or the database, per task."
    ),
    contestants=(
        _THREADS,
        _NO_THREADS,
        _PARSL_ON,
        _PARSL,
        _HTEX,
        _NO_HTEX,
        _PARSL_HTEX_ON,
        _PARSL_HTEX,
    ),
    sizes=(_MOST, 100_000),
    quick=(_MOST,),
    columns=(
        Column("cpu", "CPU µs/task"),
        Column("wall", "wall µs/task"),
        Column("close", "closing ms", 0),
        Column("bytes", "B/task", 0),
    ),
    most=dict.fromkeys((_PARSL, _PARSL_ON, _PARSL_HTEX, _PARSL_HTEX_ON), _MOST),
    measure=measure,
    seconds=300.0,
    bars=(
        _bar("the event log on threads", _THREADS, _NO_THREADS),
        _bar("the event log on htex", _HTEX, _NO_HTEX),
    ),
)
