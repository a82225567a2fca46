"""What the parts that watch and remember add to a task."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from benchmarks.calls import noop, same
from benchmarks.case import Bar, Case, Column, Sample
from benchmarks.contestants import opened
from benchmarks.flood import warm_up
from benchmarks.measuring import span

_PLAIN = "weft threads"
_ERRORS, _STEPS = "weft threads, log of errors alone", "weft threads, log of every step"
_OFF, _NEW, _KNOWN = (
    "weft threads, memory off",
    "weft threads, memory, new calls",
    "weft threads, memory, known calls",
)
_KEPT = "weft threads, checkpoint"
_PARSL_NEW, _PARSL_KNOWN = (
    "parsl threads, log off, memory, new calls",
    "parsl threads, log off, memory, known calls",
)

_OPENED_AS = {
    _NEW: _PLAIN,
    _KNOWN: _PLAIN,
    _PARSL_NEW: "parsl threads, log off",
    _PARSL_KNOWN: "parsl threads, log off",
}


def measure(contestant: str, size: int) -> Sample:
    with ExitStack() as stack:
        make: Any = stack.enter_context(opened(_OPENED_AS.get(contestant, contestant)))
        warm_up(make(noop))
        cached = contestant in (_OFF, _NEW, _KNOWN, _KEPT, _PARSL_NEW, _PARSL_KNOWN)
        call = make(cache=True)(same) if cached else make(same)

        def run() -> None:
            for future in [call(number) for number in range(size)]:
                future.result()

        if contestant in (_KNOWN, _PARSL_KNOWN):
            run()
        with span() as seen:
            run()
            if contestant.startswith("weft"):
                # Its log is written behind, and is complete when the session has closed.
                stack.close()
        return seen.each(size)


CASE = Case(
    name="features",
    title="Watching and remembering",
    about=(
        "Tasks with one integer as argument, on two threads; for weft until the session has closed,"
        " since its log is written behind. The log of the default settings has no line per task;"
        " that of every step has three. Memory: the app is made with cache=True; new calls are all"
        " different, known ones were all made before. Checkpoint: each result is on disk before its"
        " future is done."
    ),
    contestants=(
        _PLAIN,
        _ERRORS,
        _STEPS,
        _OFF,
        _NEW,
        _KNOWN,
        _KEPT,
        "parsl threads, log off",
        _PARSL_NEW,
        _PARSL_KNOWN,
    ),
    sizes=(10_000,),
    quick=(2_000,),
    columns=(
        Column("cpu", "CPU µs/task"),
        Column("wall", "wall µs/task"),
        Column("rate", "tasks/s", 0),
    ),
    measure=measure,
    bars=(
        Bar(
            "CPU per task, default settings over a log of errors alone",
            lambda of: of.ratio((_PLAIN, 10_000, "cpu"), (_ERRORS, 10_000, "cpu")),
            must=2,
            goal=1.3,
            low=True,
        ),
        Bar(
            "CPU per known call, Parsl with its log off over weft",
            lambda of: of.ratio((_PARSL_KNOWN, 10_000, "cpu"), (_KNOWN, 10_000, "cpu")),
            must=1,
            goal=5,
        ),
    ),
)
