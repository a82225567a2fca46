"""What a task costs when the executor costs nearly nothing: threads of this process."""

from __future__ import annotations

from benchmarks.case import Bar, Case, Column
from benchmarks.flood import flood

_WEFT, _PARSL, _QUIET = "weft threads", "parsl threads", "parsl threads, log off"

CASE = Case(
    name="threads",
    title="No-op tasks on threads",
    about=(
        "All calls are made, then all results taken; two threads. CPU is of the whole "
        "process, per task."
    ),
    contestants=(_WEFT, "futures ThreadPoolExecutor", _QUIET, _PARSL),
    sizes=(1_000, 10_000, 100_000),
    quick=(1_000, 10_000),
    columns=(
        Column("cpu", "CPU µs/task"),
        Column("wall", "wall µs/task"),
        Column("rate", "tasks/s", 0),
    ),
    # At a hundred thousand, the log alone would take minutes.
    most={_PARSL: 10_000},
    measure=flood,
    bars=(
        Bar(
            "CPU per task, Parsl's thread executor with its default settings over weft, "
            "10,000 tasks",
            lambda of: of.ratio((_PARSL, 10_000, "cpu"), (_WEFT, 10_000, "cpu")),
            must=20,
            goal=50,
        ),
        Bar(
            "the same with Parsl's log off",
            lambda of: of.ratio((_QUIET, 10_000, "cpu"), (_WEFT, 10_000, "cpu")),
            must=5,
            goal=12,
        ),
    ),
)
