"""Whether a task costs the same among many as among few."""

from __future__ import annotations

from benchmarks.case import Bar, Case, Column
from benchmarks.flood import flood

_WEFT = "weft threads"

CASE = Case(
    name="flat",
    title="Cost of a task among few and among many",
    about=(
        "The same as on threads, at sizes a hundredfold apart: the cost of a task should "
        "not grow with their number."
    ),
    contestants=(_WEFT, "futures ThreadPoolExecutor", "parsl threads, log off"),
    sizes=(2_000, 20_000, 100_000, 200_000),
    quick=(2_000, 20_000),
    columns=(Column("cpu", "CPU µs/task"), Column("wall", "wall µs/task")),
    most={"parsl threads, log off": 20_000},
    measure=flood,
    bars=(
        Bar(
            "CPU per task at 100,000 over that at 2,000",
            lambda of: of.ratio((_WEFT, 100_000, "cpu"), (_WEFT, 2_000, "cpu")),
            must=1.5,
            goal=1.2,
            low=True,
        ),
        Bar(
            "CPU per task at 200,000 over that at 2,000",
            lambda of: of.ratio((_WEFT, 200_000, "cpu"), (_WEFT, 2_000, "cpu")),
            must=1.5,
            goal=1.2,
            low=True,
        ),
    ),
)
