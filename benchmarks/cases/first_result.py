"""From the start of a program to its first result, and to its end."""

from __future__ import annotations

from benchmarks.case import Bar, Case, Column

_WEFT = """
import weft
from benchmarks.calls import noop
with weft.load(weft.Config(run_dir="runs", executors=[weft.executor({executor})])):
    weft.python_app(noop)().result()
    first = time.monotonic()
"""
_PARSL = """
import parsl
from parsl.providers import LocalProvider
from benchmarks.calls import noop
with parsl.load(parsl.Config(executors=[{executor}], run_dir="runs")):
    parsl.python_app(noop)().result()
    first = time.monotonic()
"""
_POOL = """
from concurrent.futures import {pool} as Pool
from benchmarks.calls import noop
with Pool(2) as pool:
    pool.submit(noop).result()
    first = time.monotonic()
"""
_DASK = """
from distributed import Client, LocalCluster
from benchmarks.calls import noop
options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
with LocalCluster(**options) as cluster, Client(cluster) as client:
    client.submit(noop).result()
    first = time.monotonic()
"""
_EXECUTORLIB = """
from executorlib import SingleNodeExecutor
from benchmarks.calls import noop
with SingleNodeExecutor(max_workers=2, block_allocation=True) as pool:
    pool.submit(noop).result()
    first = time.monotonic()
"""
_HTEX = (
    "parsl.HighThroughputExecutor(address='127.0.0.1', max_workers_per_node=2, "
    "cores_per_worker=0.5, "
    "provider=LocalProvider(init_blocks=1, max_blocks=1))"
)


def _script(text: str) -> str:
    inside = "\n".join(f"    {line}" for line in text.strip().splitlines())
    # STARTED is when the runner started this program, by the clock that all processes share.
    return (
        f"import os, time\nif __name__ == '__main__':\n{inside}\n"
        "    print('{\"first\": %r}' % (1e3 * (first - float(os.environ['STARTED']))))\n"
    )


_THREADS, _PROCESSES, _PARSL_HTEX = "weft threads", "weft processes", "parsl htex"

CASE = Case(
    name="first_result",
    title="From the start of a program to its first result",
    about=(
        "Wall time from the start of the interpreter until one no-op task has its result, "
        "until the program has ended, and the "
        "CPU of all its processes to the end."
    ),
    contestants=(
        _THREADS,
        "futures ThreadPoolExecutor",
        "parsl threads",
        _PROCESSES,
        "weft htex",
        "futures ProcessPoolExecutor",
        _PARSL_HTEX,
    ),
    extra=("executorlib", "dask LocalCluster"),
    sizes=(1,),
    quick=(1,),
    columns=(
        Column("process_cpu", "CPU ms", 0),
        Column("first", "first result ms", 0),
        Column("process_wall", "end ms", 0),
    ),
    scripts={
        _THREADS: _script(_WEFT.format(executor='"threads", max_threads=2')),
        "weft htex": _script(_WEFT.format(executor="'htex', workers_per_node=2")),
        _PROCESSES: _script(_WEFT.format(executor='"processes", max_workers=2')),
        "futures ThreadPoolExecutor": _script(_POOL.format(pool="ThreadPoolExecutor")),
        "futures ProcessPoolExecutor": _script(_POOL.format(pool="ProcessPoolExecutor")),
        "parsl threads": _script(_PARSL.format(executor="parsl.ThreadPoolExecutor(max_threads=2)")),
        _PARSL_HTEX: _script(_PARSL.format(executor=_HTEX)),
        "executorlib": _script(_EXECUTORLIB),
        "dask LocalCluster": _script(_DASK),
    },
    warm=True,
    bars=(
        Bar(
            "CPU, Parsl's HighThroughputExecutor over weft on processes",
            lambda of: of.ratio((_PARSL_HTEX, 1, "process_cpu"), (_PROCESSES, 1, "process_cpu")),
            must=2,
            goal=4,
        ),
        Bar(
            "wall time to the first result, the same",
            lambda of: of.ratio((_PARSL_HTEX, 1, "first"), (_PROCESSES, 1, "first")),
            must=4,
            goal=12,
        ),
        Bar(
            "CPU, Parsl's HighThroughputExecutor over weft's htex",
            lambda of: of.ratio((_PARSL_HTEX, 1, "process_cpu"), ("weft htex", 1, "process_cpu")),
            must=2,
            goal=4,
        ),
        Bar(
            "wall time to the first result, the same",
            lambda of: of.ratio((_PARSL_HTEX, 1, "first"), ("weft htex", 1, "first")),
            must=4,
            goal=12,
        ),
    ),
)
