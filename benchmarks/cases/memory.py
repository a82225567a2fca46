"""What a task holds while it waits, what its future holds later, and what is left behind."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.calls import noop, same, wait_for
from benchmarks.case import Bar, Case, Column, Sample
from benchmarks.contestants import WORKERS, opened
from benchmarks.flood import warm_up
from benchmarks.measuring import resident

_WEFT, _POOL, _PARSL = "weft threads", "futures ThreadPoolExecutor", "parsl threads, log off"
_BATCHES, _SETTLED = 20, 5


@contextmanager
def _gate(make: Any) -> Iterator[list[Any]]:
    """Every thread waits inside a task until the block ends; gives the futures of those tasks."""
    gate = threading.Event()
    blocked = [make(wait_for)(gate) for _ in range(WORKERS)]
    try:
        yield blocked
    finally:
        gate.set()


def _growth(action: Callable[[], list[Any]], size: int) -> tuple[float, float, list[Any]]:
    """Bytes for each of ``size`` things: resident, and as Python's allocator counts them."""
    gc.collect()
    before, traced = resident(), tracemalloc.get_traced_memory()[0]
    made = action()
    gc.collect()
    return (
        (resident() - before) / size,
        (tracemalloc.get_traced_memory()[0] - traced) / size,
        made,
    )


def measure(contestant: str, size: int) -> Sample:
    with opened(contestant) as make:
        call, passed = make(noop), make(same)
        warm_up(call)
        seen: Sample = {}

        def queued() -> list[Any]:
            return [call() for _ in range(size)]

        def finished() -> list[Any]:
            futures = queued()
            for future in futures:
                future.result()
            return futures

        # The first of all, since later ones find memory that these have given back.
        with _gate(make):
            seen["resident"], _, made = _growth(queued, size)
        _finish(made)
        tracemalloc.start()
        with _gate(make):
            _, seen["queued"], made = _growth(queued, size)
        _finish(made)
        if contestant != _POOL:
            with _gate(make) as blocked:
                first = blocked[0]
                _, seen["waiting"], made = _growth(
                    lambda: [passed(first) for _ in range(size)], size
                )
            _finish(made)
        _, seen["finished"], made = _growth(finished, size)
        made.clear()
        tracemalloc.stop()
        level = 0.0
        for batch in range(_BATCHES):
            finished()
            if batch == _SETTLED - 1:
                gc.collect()
                level = resident()
        gc.collect()
        seen["left"] = max(0.0, resident() - level) / ((_BATCHES - _SETTLED) * size)
        return seen


def _finish(futures: list[Any]) -> None:
    for future in futures:
        future.result()
    futures.clear()


CASE = Case(
    name="memory",
    title="Memory held per task",
    about=(
        "Every thread is blocked while tasks are submitted. Queued: ready to run; waiting: their"
        " input is not there. Growth of the resident size, and what tracemalloc counts; finished"
        f" futures are kept by the caller. Left: growth of the resident size from batch {_SETTLED}"
        f" to batch {_BATCHES} of finished and forgotten tasks, per task."
    ),
    contestants=(_WEFT, _POOL, _PARSL),
    sizes=(5_000,),
    quick=(2_000,),
    columns=(
        Column("resident", "queued, resident B/task", 0),
        Column("queued", "queued B/task", 0),
        Column("waiting", "waiting B/task", 0),
        Column("finished", "finished B/task", 0),
        Column("left", "left B/task", 1),
    ),
    measure=measure,
    bars=(
        Bar(
            "bytes held per task that is ready and waits for a thread",
            lambda of: of(_WEFT, 5_000, "resident"),
            must=1_000,
            goal=500,
            unit=" B",
            low=True,
        ),
        Bar(
            "bytes held per task that waits for another",
            lambda of: of(_WEFT, 5_000, "waiting"),
            must=1_000,
            goal=500,
            unit=" B",
            low=True,
        ),
        Bar(
            "bytes left behind per finished task",
            lambda of: of(_WEFT, 5_000, "left"),
            must=5,
            goal=1,
            unit=" B",
            low=True,
        ),
    ),
)
