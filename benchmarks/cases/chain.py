"""Each task takes the result of the one before."""

from __future__ import annotations

import threading

from benchmarks.calls import increment, noop, wait_for
from benchmarks.case import Bar, Case, Column, Sample
from benchmarks.contestants import opened
from benchmarks.flood import warm_up
from benchmarks.measuring import span

_WEFT, _PARSL, _QUIET = "weft threads", "parsl threads", "parsl threads, log off"


def measure(contestant: str, size: int) -> Sample:
    with opened(contestant) as make:
        warm_up(make(noop))
        link, gate = make(increment), threading.Event()
        with span() as seen:
            future = make(wait_for)(gate)
            for _ in range(size):
                future = link(future)
            gate.set()
            assert future.result() == size
        return seen.each(size)


CASE = Case(
    name="chain",
    title="A chain: each task takes the result of the one before",
    about="The whole chain is there before its first task ends. Two threads; per link.",
    contestants=(_WEFT, _QUIET, _PARSL),
    sizes=(1_000, 3_000),
    quick=(1_000,),
    columns=(Column("cpu", "CPU µs/link"), Column("wall", "wall µs/link")),
    measure=measure,
    bars=(
        Bar(
            "CPU per link, Parsl's thread executor with its default settings over weft, 1,000"
            " links",
            lambda of: of.ratio((_PARSL, 1_000, "cpu"), (_WEFT, 1_000, "cpu")),
            must=5,
            goal=10,
        ),
    ),
)
