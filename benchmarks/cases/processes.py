"""What a task costs when it runs in another process of this machine."""

from __future__ import annotations

from benchmarks.case import Bar, Case, Column
from benchmarks.flood import flood

_WEFT, _POOL, _HTEX = "weft processes", "futures ProcessPoolExecutor", "parsl htex"
_PILOT, _ENCRYPTED = "weft htex", "weft htex, encrypted"

CASE = Case(
    name="processes",
    title="No-op tasks on local processes",
    about=(
        "All calls are made, then all results taken; two worker processes. CPU is of the "
        "whole process tree, per task. Encrypted: managers come in over TCP and CURVE, as those on "
        "other machines do, instead of through a socket in a private folder."
    ),
    contestants=(_WEFT, _PILOT, _ENCRYPTED, _POOL, _HTEX),
    extra=("parsl htex, log off", "executorlib", "dask LocalCluster", "ray"),
    sizes=(10_000, 100_000),
    quick=(1_000, 5_000),
    columns=(
        Column("cpu", "CPU µs/task"),
        Column("wall", "wall µs/task"),
        Column("rate", "tasks/s", 0),
    ),
    most={
        _HTEX: 10_000,
        "parsl htex, log off": 10_000,
        "dask LocalCluster": 10_000,
        "ray": 10_000,
        "executorlib": 10_000,
    },
    measure=flood,
    bars=(
        Bar(
            "CPU per task, ProcessPoolExecutor over weft, 10,000 tasks",
            lambda of: of.ratio((_POOL, 10_000, "cpu"), (_WEFT, 10_000, "cpu")),
            must=1,
            goal=2,
        ),
        Bar(
            "CPU per task, Parsl's HighThroughputExecutor over weft, 10,000 tasks",
            lambda of: of.ratio((_HTEX, 10_000, "cpu"), (_WEFT, 10_000, "cpu")),
            must=20,
            goal=50,
        ),
        Bar(
            "CPU per task, Parsl's HighThroughputExecutor over weft's htex, 10,000 tasks",
            lambda of: of.ratio((_HTEX, 10_000, "cpu"), (_PILOT, 10_000, "cpu")),
            must=20,
            goal=50,
        ),
        Bar(
            "tasks per second, weft's htex over Parsl's HighThroughputExecutor, 10,000 tasks",
            lambda of: of.ratio((_PILOT, 10_000, "rate"), (_HTEX, 10_000, "rate")),
            must=20,
            goal=50,
        ),
        Bar(
            "tasks per second, weft's htex over ProcessPoolExecutor, 10,000 tasks",
            lambda of: of.ratio((_PILOT, 10_000, "rate"), (_POOL, 10_000, "rate")),
            must=1,
            goal=2,
        ),
        *(
            Bar(
                f"{what}, {_HTEX} and weft's htex encrypted, 10,000 tasks",
                of_what,
                must=20,
                goal=50,
            )
            for what, of_what in (
                (
                    "CPU per task",
                    lambda of: of.ratio((_HTEX, 10_000, "cpu"), (_ENCRYPTED, 10_000, "cpu")),
                ),
                (
                    "tasks per second",
                    lambda of: of.ratio((_ENCRYPTED, 10_000, "rate"), (_HTEX, 10_000, "rate")),
                ),
            )
        ),
        Bar(
            "tasks per second, weft's htex over Dask, 10,000 tasks",
            lambda of: of.ratio((_PILOT, 10_000, "rate"), ("dask LocalCluster", 10_000, "rate")),
            must=8,
            goal=20,
        ),
        Bar(
            "tasks per second, weft's htex over Ray, 10,000 tasks",
            lambda of: of.ratio((_PILOT, 10_000, "rate"), ("ray", 10_000, "rate")),
            must=4,
            goal=8,
        ),
    ),
)
