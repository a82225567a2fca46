"""One call at a time: how long until its result is there."""

from __future__ import annotations

import time

from benchmarks.calls import noop
from benchmarks.case import Bar, Case, Column, Sample
from benchmarks.contestants import opened
from benchmarks.flood import warm_up
from benchmarks.measuring import quantile, span

_WEFT, _PARSL, _QUIET = "weft threads", "parsl threads", "parsl threads, log off"
_PROCESSES, _HTEX = "weft processes", "parsl htex"


def measure(contestant: str, size: int) -> Sample:
    with opened(contestant) as make:
        call = make(noop)
        warm_up(call)
        took = []
        with span() as seen:
            for _ in range(size):
                began = time.perf_counter()
                call().result()
                took.append(1e6 * (time.perf_counter() - began))
        return {
            "cpu": 1e6 * seen.cpu / size,
            "p50": quantile(took, 0.50),
            "p99": quantile(took, 0.99),
        }


CASE = Case(
    name="latency",
    title="One call at a time",
    about=(
        "Each call is made when the result of the one before has been taken. CPU is of the "
        "whole process tree, per call."
    ),
    contestants=(
        _WEFT,
        "futures ThreadPoolExecutor",
        _QUIET,
        _PARSL,
        _PROCESSES,
        "weft htex",
        "weft htex, encrypted",
        "futures ProcessPoolExecutor",
        _HTEX,
    ),
    extra=("executorlib", "dask LocalCluster", "ray"),
    sizes=(2_000,),
    quick=(300,),
    columns=(Column("cpu", "CPU µs/call"), Column("p50", "p50 µs"), Column("p99", "p99 µs")),
    most={"executorlib": 300, "dask LocalCluster": 300},
    measure=measure,
    bars=(
        Bar(
            "median, Parsl's thread executor with its default settings over weft on threads",
            lambda of: of.ratio((_PARSL, 2_000, "p50"), (_WEFT, 2_000, "p50")),
            must=4,
            goal=10,
        ),
        Bar(
            "median, Parsl's HighThroughputExecutor over weft on processes",
            lambda of: of.ratio((_HTEX, 2_000, "p50"), (_PROCESSES, 2_000, "p50")),
            must=4,
            goal=10,
        ),
        Bar(
            "CPU per call, Parsl's HighThroughputExecutor over weft on processes",
            lambda of: of.ratio((_HTEX, 2_000, "cpu"), (_PROCESSES, 2_000, "cpu")),
            must=3,
            goal=6,
        ),
        Bar(
            "median, Parsl's HighThroughputExecutor over weft's htex",
            lambda of: of.ratio((_HTEX, 2_000, "p50"), ("weft htex", 2_000, "p50")),
            must=3,
            goal=5,
        ),
    ),
)
