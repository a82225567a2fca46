"""One large argument for many tasks: sent with each, through a store, or once; needs numpy."""

from __future__ import annotations

from typing import Any

from benchmarks.calls import first_of, noop
from benchmarks.case import Bar, Case, Column, Sample
from benchmarks.contestants import opened
from benchmarks.flood import warm_up
from benchmarks.measuring import peak_of_the_largest, span

_PLAIN, _STORE, _SHARED = "weft htex", "weft htex, proxystore", "weft htex, shared"
_REDIS = "weft htex, proxystore redis"
_BYTES = 10_000_000
_AT_ONCE = 20
"""Calls that are under way at the same time, so that what waits does not fill the memory."""


def measure(contestant: str, size: int) -> Sample:
    import numpy as np

    payload: Any = np.zeros(_BYTES // 8) + 1.0
    with opened(_PLAIN if contestant == _SHARED else contestant) as make:
        warm_up(make(noop))
        if contestant == _SHARED:
            import weft

            payload = weft.shared(payload)
        first = make(first_of)
        first(payload).result()
        with span() as seen:
            for begin in range(0, size, _AT_ONCE):
                some = [first(payload) for _ in range(begin, min(begin + _AT_ONCE, size))]
                assert {one.result() for one in some} == {1.0}
        return {
            "cpu": 1e3 * seen.cpu / size,
            "wall": 1e3 * seen.wall / size,
            "peak": peak_of_the_largest() / 2**20,
        }


CASE = Case(
    name="shared",
    title="One large argument for many tasks",
    about=(
        "So many tasks get one array of 10 MB, and look at its first number; twenty at a time. "
        "CPU is of the whole process tree, Redis included, per task; "
        "the store is a folder, or Redis."
    ),
    contestants=(_PLAIN, _STORE, _REDIS, _SHARED, "parsl htex"),
    extra=("dask LocalCluster",),
    sizes=(100, 1_000),
    quick=(100,),
    columns=(
        Column("cpu", "CPU ms/task", 2),
        Column("wall", "wall ms/task", 2),
        Column("peak", "peak MiB", 0),
    ),
    most={"parsl htex": 100},
    measure=measure,
    seconds=300.0,
    bars=(
        Bar(
            "CPU per task, plain over ProxyStore",
            lambda of: of.ratio((_PLAIN, 1_000, "cpu"), (_STORE, 1_000, "cpu")),
            must=1,
        ),
        Bar(
            "the same, over weft.shared",
            lambda of: of.ratio((_PLAIN, 1_000, "cpu"), (_SHARED, 1_000, "cpu")),
            must=10,
        ),
    ),
)
