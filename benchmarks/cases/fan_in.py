"""One task that takes the results of many."""

from __future__ import annotations

from typing import Any

from benchmarks.calls import how_many, how_many_listed, noop
from benchmarks.case import Bar, Case, Column, Sample
from benchmarks.contestants import opened
from benchmarks.flood import warm_up
from benchmarks.measuring import span

_WEFT, _LISTED = "weft threads", "weft threads, in a list"
_PARSL, _QUIET = "parsl threads", "parsl threads, log off"


def measure(contestant: str, size: int) -> Sample:
    listed = contestant == _LISTED
    with opened(_WEFT if listed else contestant) as make:
        call, total = make(noop), make(how_many_listed if listed else how_many)
        warm_up(call)

        def run(*, into_one: bool) -> Any:
            with span() as seen:
                futures = [call() for _ in range(size)]
                if into_one:
                    end = total(futures) if listed else total(*futures)
                    assert end.result() == size
                for future in futures:
                    future.result()
            return seen

        # The first of each kind pays for growing memory.
        run(into_one=False)
        apart, together = run(into_one=False), run(into_one=True)
        return {
            "edge": max(0.0, 1e6 * (together.cpu - apart.cpu) / size),
            "cpu": 1e6 * together.cpu / size,
            "wall": 1e3 * together.wall,
        }


CASE = Case(
    name="fan_in",
    title="Fan-in: many results into one task",
    about=(
        "No-op tasks on two threads, and one task that takes all their futures. CPU per input"
        " includes the task that makes it; "
        "CPU per edge is what that adds to the same tasks without the last one."
    ),
    contestants=(_WEFT, _LISTED, _QUIET, _PARSL),
    sizes=(100, 1_000, 10_000),
    quick=(100, 1_000),
    columns=(
        Column("cpu", "CPU µs/input"),
        Column("edge", "CPU µs/edge"),
        Column("wall", "wall ms"),
    ),
    measure=measure,
    bars=(
        Bar(
            "CPU per edge, 10,000 inputs",
            lambda of: of(_WEFT, 10_000, "edge"),
            must=30,
            goal=10,
            unit=" µs",
            low=True,
        ),
        Bar(
            "CPU per input at 10,000 over that at 1,000",
            lambda of: of.ratio((_WEFT, 10_000, "cpu"), (_WEFT, 1_000, "cpu")),
            must=1.5,
            goal=1.2,
            low=True,
        ),
    ),
)
