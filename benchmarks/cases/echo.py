"""Large payloads there and back: what many megabytes cost that a task takes and returns."""

from __future__ import annotations

from benchmarks.calls import noop, same
from benchmarks.case import Bar, Case, Column, Sample
from benchmarks.contestants import opened
from benchmarks.flood import warm_up
from benchmarks.measuring import peak_of_the_largest, span

_WEFT, _HTEX, _PROCESSES = "weft htex", "parsl htex", "weft processes"
_LEAST, _SMALL, _LARGE = 1_000_000, 10_000_000, 100_000_000
_TURNS = 2
_CHOSEN = tuple(f"{_WEFT}, {name}" for name in ("pickle", "cloudpickle", "dill"))


def measure(contestant: str, size: int) -> Sample:
    return measured(contestant, bytes(size))


def measured(contestant: str, payload: object) -> Sample:
    """Echo a payload, one call at a time."""
    with opened(contestant) as make:
        warm_up(make(noop))
        echo = make(same)
        # Each worker once: memory that nobody has touched before costs more than the payload.
        for future in [echo(payload), echo(payload)]:
            future.result()
        del future
        with span() as seen:
            for _ in range(_TURNS):
                echo(payload).result()
        return {
            "cpu": 1e3 * seen.cpu / _TURNS,
            "wall": 1e3 * seen.wall / _TURNS,
            "peak": peak_of_the_largest() / 2**20,
        }


CASE = Case(
    name="echo",
    title="Large bytes there and back",
    about=(
        "So many bytes are given to a task, which returns them; one call at a time. CPU is of the "
        "whole process tree, per call; peak is the resident memory of the process that had most, "
        "with two calls at once."
    ),
    contestants=(_WEFT, _PROCESSES, "futures ProcessPoolExecutor", _HTEX),
    extra=(*_CHOSEN, "executorlib", "dask LocalCluster", "ray"),
    sizes=(_LEAST, _SMALL, _LARGE),
    quick=(_SMALL,),
    columns=(
        Column("cpu", "CPU ms/call", 0),
        Column("wall", "wall ms/call", 0),
        Column("peak", "peak MiB", 0),
    ),
    measure=measure,
    seconds=300.0,
    bars=(
        Bar(
            "CPU per call, Parsl's HighThroughputExecutor over weft's htex, 100 MB",
            lambda of: of.ratio((_HTEX, _LARGE, "cpu"), (_WEFT, _LARGE, "cpu")),
            must=10,
            goal=25,
        ),
        Bar(
            "the same, 10 MB",
            lambda of: of.ratio((_HTEX, _SMALL, "cpu"), (_WEFT, _SMALL, "cpu")),
            must=8,
            goal=20,
        ),
        Bar(
            "CPU per call, Ray over weft's htex, 100 MB",
            lambda of: of.ratio(("ray", _LARGE, "cpu"), (_WEFT, _LARGE, "cpu")),
            must=0.2,
            goal=1,
        ),
    ),
)
