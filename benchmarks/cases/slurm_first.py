"""From a submission to Slurm until the first result."""

from __future__ import annotations

import time

from benchmarks.calls import noop
from benchmarks.case import Bar, Case, Column, Sample
from benchmarks.contestants import on_slurm
from benchmarks.slurm import cluster

_WEFT, _PARSL = "weft htex on slurm", "parsl htex on slurm"


def measure(contestant: str, size: int) -> Sample:
    with cluster() as counted:
        began = time.perf_counter()
        with on_slurm(contestant, partition="normal", blocks=1) as make:
            call = make(noop)
            for _ in range(size):
                call().result()
            took = time.perf_counter() - began
            before_the_end = sum(counted().values())
        return {
            "first": took,
            "all": time.perf_counter() - began,
            "commands": before_the_end,
            "commands_all": sum(counted().values()),
        }


CASE = Case(
    name="slurm_first",
    title="A first result from Slurm",
    about=(
        "A session or a DataFlowKernel with one block of one node is opened, one no-op task is "
        "called, and its result taken; then all is closed. Slurm is real, with its daemons on "
        "this machine, nothing else in its queue, and no accounts."
    ),
    contestants=(_WEFT, _PARSL),
    sizes=(1,),
    quick=(1,),
    columns=(
        Column("first", "first result s", 2),
        Column("all", "end s", 2),
        Column("commands", "commands to it", 0),
        Column("commands_all", "commands in all", 0),
    ),
    measure=measure,
    seconds=300.0,
    bars=(
        Bar(
            "time to the first result, Parsl's Slurm provider over weft's",
            lambda of: of.ratio((_PARSL, 1, "first"), (_WEFT, 1, "first")),
            must=1,
            goal=3,
        ),
    ),
)
