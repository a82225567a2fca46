"""How often a scheduler is asked while a hundred blocks wait in its queue."""

from __future__ import annotations

import os
import subprocess
import time

from benchmarks.case import Bar, Case, Column, Sample
from benchmarks.contestants import on_slurm
from benchmarks.slurm import cluster

_WEFT, _PARSL = "weft htex on slurm", "parsl htex on slurm"
_BLOCKS = 100
_PATIENCE = 120.0


def measure(contestant: str, size: int) -> Sample:
    with cluster() as counted:
        began = time.perf_counter()
        with on_slurm(contestant, partition="closed", blocks=_BLOCKS):
            # Each contestant asks soon after it has submitted; that is over when it is counted.
            until = began + _PATIENCE
            while _waiting() < _BLOCKS:
                assert time.perf_counter() < until, f"{_waiting()} blocks after {_PATIENCE} s"
                time.sleep(0.5)
            submitted, took = counted(), time.perf_counter() - began
            time.sleep(30.0)
            before = counted()
            time.sleep(size)
            after = counted()
        return {
            "hour": 3600 / size * (sum(after.values()) - sum(before.values())),
            "submit": sum(submitted.values()),
            "took": took,
        }


def _waiting() -> int:
    # By its own path, which is not counted.
    path = ":".join(os.environ["PATH"].split(":")[1:])
    said = subprocess.run(
        ["squeue", "--noheader", "--format=%A", "--array"],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return len(said.stdout.split())


CASE = Case(
    name="slurm_watch",
    title="A hundred blocks in the queue of Slurm",
    about=(
        "A hundred blocks are submitted to a partition that starts nothing, and wait. Commands of "
        "Slurm are counted: until all are in the queue, and, from half a minute later on, for so "
        "many seconds, told for an hour. Slurm is real, with its daemons on this machine."
    ),
    contestants=(_WEFT, _PARSL),
    sizes=(240,),
    quick=(60,),
    columns=(
        Column("hour", "commands/hour", 0),
        Column("submit", "commands to submit", 0),
        Column("took", "all in the queue after s"),
    ),
    measure=measure,
    seconds=900.0,
    bars=(
        Bar(
            "commands per hour while 100 blocks wait, Parsl's Slurm provider over weft's",
            lambda of: of.ratio((_PARSL, 240, "hour"), (_WEFT, 240, "hour")),
            must=1,
        ),
    ),
)
