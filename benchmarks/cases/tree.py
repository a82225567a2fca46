"""Map, then reduce by a tree: every result of the map is added up, two by two."""

from __future__ import annotations

from benchmarks.calls import add, increment, noop
from benchmarks.case import Bar, Case, Column, Sample
from benchmarks.contestants import opened
from benchmarks.flood import warm_up
from benchmarks.measuring import span

_WEFT, _PARSL, _QUIET = "weft threads", "parsl threads", "parsl threads, log off"


def measure(contestant: str, size: int) -> Sample:
    with opened(contestant) as make:
        warm_up(make(noop))
        leaf, node = make(increment), make(add)
        tasks = 2 * size - 1
        with span() as seen:
            level = [leaf(number) for number in range(size)]
            while len(level) > 1:
                pairs = [node(a, b) for a, b in zip(level[::2], level[1::2], strict=False)]
                level = pairs + ([level[-1]] if len(level) % 2 else [])
            assert level[0].result() == size * (size + 1) // 2
        return seen.each(tasks)


CASE = Case(
    name="tree",
    title="Map, and reduce by a tree",
    about=(
        "So many leaves, added up two by two: twice as many tasks, and an edge for nearly "
        "each. Two threads; per task."
    ),
    contestants=(_WEFT, _QUIET, _PARSL),
    sizes=(1_000, 10_000),
    quick=(1_000,),
    columns=(Column("cpu", "CPU µs/task"), Column("wall", "wall µs/task")),
    most={_PARSL: 1_000},
    measure=measure,
    bars=(
        Bar(
            "CPU per task, Parsl's thread executor with its log off over weft, 10,000 leaves",
            lambda of: of.ratio((_QUIET, 10_000, "cpu"), (_WEFT, 10_000, "cpu")),
            must=5,
            goal=12,
        ),
    ),
)
